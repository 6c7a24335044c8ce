"""What is wrong with the request as HTTP: framing, headers, targets, methods, hosts."""

from __future__ import annotations

from bad_input.rows import COMPLETIONS, IRE, Row, get, post, request

GOOD = b'{"prompt":"Hi","max_tokens":1}'
JSON = "Content-Type: application/json\r\n"
CHUNKED = JSON + "Transfer-Encoding: chunked\r\n"
LENGTH = f"Content-Length: {len(GOOD)}\r\n"
BODY_LIMIT = 8 << 20


def framed(headers: str, body: bytes = b"") -> bytes:
    return request("POST", COMPLETIONS, headers, body)


def closing(id: str, data: bytes, status: int, code: str, comment: str = "") -> Row:
    return Row(id, data, status, code, "", closes=True, comment=comment)


def staying(id: str, data: bytes, status: int, code: str, type: str = IRE, header: tuple[str, str] | None = None, comment: str = "") -> Row:
    return Row(id, data, status, code, "", type, header=header, comment=comment)


FRAMING = [
    closing("15 Content-Length over the limit", framed(JSON + f"Content-Length: {BODY_LIMIT + 1}\r\n"), 413, "request_too_large"),
    closing("15 Content-Length 2^63", framed(JSON + f"Content-Length: {2**63}\r\n"), 413, "request_too_large"),
    closing("15 100-continue over the limit", framed(JSON + f"Content-Length: {BODY_LIMIT + 1}\r\nExpect: 100-continue\r\n"), 413,
            "request_too_large", "told before the body is sent"),
    closing("16 chunks past the limit", framed(CHUNKED, b"10000\r\n" + b"a" * 65536 + b"\r\n" + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 128),
            413, "request_too_large"),
    closing("17 a million one-byte chunks", framed(CHUNKED, b"1\r\na\r\n" * 1_000_000), 413, "request_too_large",
            "at 65,536 chunks; the same end as for 8 million"),
    closing("20 Content-Length -1", framed(JSON + "Content-Length: -1\r\n"), 400, "bad_request"),
    closing("20 Content-Length +2", framed(JSON + "Content-Length: +2\r\n"), 400, "bad_request"),
    closing("20 Content-Length abc", framed(JSON + "Content-Length: abc\r\n"), 400, "bad_request"),
    closing("20 Content-Length 0x2", framed(JSON + "Content-Length: 0x2\r\n"), 400, "bad_request"),
    closing("20 Content-Length empty", framed(JSON + "Content-Length: \r\n"), 400, "bad_request"),
    closing("20 Content-Length 2^64", framed(JSON + f"Content-Length: {2**64}\r\n"), 400, "bad_request"),
    closing("20 two Content-Lengths", framed(JSON + LENGTH + "Content-Length: 3\r\n", GOOD), 400, "bad_request"),
    closing("20 the same Content-Length twice", framed(JSON + LENGTH + LENGTH, GOOD), 400, "bad_request"),
    closing("20 a list of Content-Lengths", framed(JSON + f"Content-Length: {len(GOOD)}, {len(GOOD)}\r\n", GOOD), 400, "bad_request"),
    closing("21 both framings", framed(CHUNKED + LENGTH, GOOD), 400, "bad_request"),
    closing("22 xchunked", framed(JSON + "Transfer-Encoding: xchunked\r\n"), 501, "unsupported_transfer_encoding"),
    closing("22 chunked, identity", framed(JSON + "Transfer-Encoding: chunked, identity\r\n"), 501, "unsupported_transfer_encoding"),
    closing("22 gzip, chunked", framed(JSON + "Transfer-Encoding: gzip, chunked\r\n"), 501, "unsupported_transfer_encoding"),
    closing("22 chunked twice", framed(CHUNKED + "Transfer-Encoding: chunked\r\n"), 501, "unsupported_transfer_encoding"),
    closing("22 chunked in HTTP/1.0", b"POST /v1/completions HTTP/1.0\r\n" + CHUNKED.encode() + b"\r\n", 400, "bad_request"),
    closing("23 chunk size zz", framed(CHUNKED, b"zz\r\nhi\r\n0\r\n\r\n"), 400, "bad_request"),
    closing("23 chunk size 0x10", framed(CHUNKED, b"0x10\r\n0123456789abcdef\r\n0\r\n\r\n"), 400, "bad_request"),
    closing("23 chunk size -1", framed(CHUNKED, b"-1\r\nhi\r\n0\r\n\r\n"), 400, "bad_request"),
    closing("23 no CRLF after a chunk", framed(CHUNKED, b"5\r\nhelloX0\r\n\r\n"), 400, "bad_request"),
    closing("23 chunk size 1e9 in hexadecimal", framed(CHUNKED, b"3b9aca00\r\n"), 413, "request_too_large"),
    closing("23 chunk size of 2^64", framed(CHUNKED, b"10000000000000000\r\n"), 400, "bad_request"),
    closing("23 endless chunk size line", framed(CHUNKED, b"1;" + b"a" * 40_000), 400, "bad_request"),
    Row("23 chunked is fine", framed(CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)), 200),
    closing("24 a header line over 8 KiB", get("/livez", "X: " + "a" * 9000 + "\r\n"), 431, "headers_too_large"),
    closing("24 a header name over 8 KiB", get("/livez", "a" * 9000 + ": x\r\n"), 431, "headers_too_large"),
    closing("24 65 headers", get("/livez", "".join(f"X-{i}: 1\r\n" for i in range(65))), 431, "headers_too_large"),
    closing("24 headers over 16 KiB", get("/livez", "".join(f"{c}: {c * 8000}\r\n" for c in "ABC")), 431, "headers_too_large"),
    closing("24 a header of 100 MB", get("/livez", "X: " + "a" * 100_000_000 + "\r\n"), 431, "headers_too_large", "refused after 8 KiB of it"),
    closing("25 target over 8 KiB", get("/" + "a" * 8193), 414, "uri_too_long"),
    closing("25 query over 8 KiB", get("/livez?" + "a" * 8193), 414, "uri_too_long"),
    closing("26 bare LF", b"GET /livez HTTP/1.1\nHost: localhost\n\n", 400, "bad_request"),
    closing("26 bare CR", get("/livez", "X: a\rY: b\r\n"), 400, "bad_request"),
    closing("26 folded line", get("/livez", "X: a\r\n b\r\n"), 400, "bad_request"),
    closing("26 space before the colon", get("/livez", "X : a\r\n"), 400, "bad_request"),
    closing("26 NUL in a value", get("/livez", "X: a\0b\r\n"), 400, "bad_request"),
    closing("26 NUL in a name", get("/livez", "X\0: a\r\n"), 400, "bad_request"),
    closing("26 no colon", get("/livez", "nonsense\r\n"), 400, "bad_request"),
    closing("26 empty name", get("/livez", ": a\r\n"), 400, "bad_request"),
    closing("26 two spaces in the request line", b"GET  /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    closing("26 a tab in the request line", b"GET\t/livez\tHTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    closing("26 bytes over 7f in the target", b"GET /\xc3\xa4 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    closing("27 no Host", b"GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request"),
    closing("27 two Hosts", get("/livez", "Host: localhost\r\n"), 400, "bad_request"),
    closing("29 HTTP/0.9", b"GET /livez HTTP/0.9\r\nHost: localhost\r\n\r\n", 505, "http_version_not_supported"),
    closing("29 HTTP/3.0", b"GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "http_version_not_supported"),
    closing("29 PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"),
    closing("29 no version", b"GET /livez\r\n\r\n", 400, "bad_request"),
    closing("29 http/1.1 in lower case", b"GET /livez http/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    closing("30 TLS ClientHello", bytes.fromhex("16030100a5010000a10303") + b"\x11" * 32 + b"\0" * 64, 400, "bad_request"),
    closing("30 SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 400, "bad_request"),
    closing("30 zeros", b"\0" * 64, 400, "bad_request"),
    closing("35 another expectation", framed(JSON + LENGTH + "Expect: 200-maybe\r\n"), 417, "expectation_failed"),
]

ROUTING = [
    staying("18 gzip", framed(JSON + LENGTH + "Content-Encoding: gzip\r\n", GOOD), 415, "unsupported_encoding"),
    staying("18 br", framed(JSON + LENGTH + "Content-Encoding: br\r\n", GOOD), 415, "unsupported_encoding"),
    Row("18 identity is fine", framed(JSON + LENGTH + "Content-Encoding: identity\r\n", GOOD), 200),
    staying("19 text/plain", post(COMPLETIONS, GOOD, content_type="text/plain"), 415, "unsupported_media_type"),
    staying("19 a form", post(COMPLETIONS, GOOD, content_type="application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
    staying("19 multipart", post(COMPLETIONS, GOOD, content_type="multipart/form-data; boundary=x"), 415, "unsupported_media_type"),
    staying("19 missing", post(COMPLETIONS, GOOD, content_type=None), 415, "unsupported_media_type"),
    staying("19 almost", post(COMPLETIONS, GOOD, content_type="application/jsonx"), 415, "unsupported_media_type"),
    Row("19 with a charset is fine", post(COMPLETIONS, GOOD, content_type="Application/JSON; charset=utf-8"), 200),
    staying("28 another host", request("GET", "/livez", host="evil.example"), 403, "host_not_allowed", "permission_error"),
    staying("28 127.0.0.1 as a prefix", request("GET", "/livez", host="127.0.0.1.evil.example"), 403, "host_not_allowed", "permission_error"),
    staying("28 localhost as a prefix", request("GET", "/livez", host="localhost.evil.example:80"), 403, "host_not_allowed",
            "permission_error"),
    staying("28 a post for another host", request("POST", COMPLETIONS, JSON + LENGTH, GOOD, host="evil.example"), 403, "host_not_allowed",
            "permission_error"),
    Row("28 [::1] is fine", request("GET", "/livez", host="[::1]:8000"), 200),
    Row("28 a loopback address is fine", request("GET", "/livez", host="127.1.2.3:8000"), 200),
    staying("31 GET of completions", get(COMPLETIONS), 405, "method_not_allowed", header=("allow", "POST")),
    staying("31 PUT", request("PUT", COMPLETIONS, JSON + LENGTH, GOOD), 405, "method_not_allowed", header=("allow", "POST")),
    staying("31 DELETE of a model", request("DELETE", "/v1/models/x"), 405, "method_not_allowed", header=("allow", "GET")),
    staying("31 POST of health", post("/health", GOOD), 405, "method_not_allowed", header=("allow", "GET")),
    staying("31 a method nobody knows", request("BREW", COMPLETIONS), 405, "method_not_allowed"),
    staying("32 unknown path", get("/nothing"), 404, "not_found"),
    staying("32 a slash too many at the end", get("/v1/models/"), 404, "not_found"),
    staying("32 upper case", get("/V1/MODELS"), 404, "not_found"),
    staying("32 a post to nothing", post("/v1/nothing", GOOD), 404, "not_found"),
    staying("33 dots", get("/v1/../admin"), 404, "not_found"),
    staying("33 dots to a route", get("/v1/../livez"), 404, "not_found"),
    staying("33 escaped dots", get("/v1/%2e%2e/health"), 404, "not_found"),
    staying("33 an escaped letter", get("/v1/model%73"), 404, "not_found"),
    staying("33 doubled slash", get("//v1/models"), 404, "not_found"),
    staying("33 backslash", get("/v1\\models"), 404, "not_found"),
    staying("33 a file", get("/etc/passwd"), 404, "not_found"),
    Row("33 a model named by dots", get("/v1/models/..%2f..%2fetc%2fpasswd"), 404, "model_not_found", "model"),
    staying("34 TRACE", request("TRACE", "/v1/models"), 405, "method_not_allowed"),
    staying("34 CONNECT", b"CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "not_implemented"),
    staying("34 a proxy's request", request("GET", "http://example.com/nothing"), 404, "not_found", comment="answered for its path alone"),
    Row("34 a proxy's request for a path that is here", request("GET", "http://example.com/livez"), 200),
    Row("34 the root", get("/"), 200, comment="the list of the endpoints"),
    staying("34 a post to the root", post("/", GOOD), 405, "method_not_allowed", header=("allow", "GET")),
    Row("34 OPTIONS", request("OPTIONS", COMPLETIONS), 204, type=None, header=("allow", "POST"), head=True),
    Row("39 line breaks in the query", get("/livez?x=%0D%0ASet-Cookie:%20a=1"), 200),
    Row("39 line breaks in a request id", get("/livez", "X-Request-Id: a%0D%0ASet-Cookie: a=1\r\n"), 200),
    Row("39 a request id of 129 bytes", get("/livez", "X-Request-Id: " + "a" * 129 + "\r\n"), 200, comment="ours in its place"),
    Row("39 control characters by escape in a model's name", get("/v1/models/%1b%5b31m%0d%0a"), 404, "model_not_found", "model"),
]

ROWS = FRAMING + ROUTING
