// Bytes of a connection: the same requests and the same end, however they were cut into pieces.
#include <optional>

#include "fuzz.h"
#include "server/http/request_parser.h"

namespace pegainfer::http {
namespace {

struct Parsed {
  std::vector<Request> requests;
  std::optional<Fault> fault;
};

// `pieces`: the lengths of the pieces, again and again; none: all at once.
Parsed parse(std::string_view bytes, const std::vector<size_t>& pieces, const Limits& limits) {
  RequestParser parser(limits);
  Parsed out;
  std::string buffer;
  size_t next = 0;
  while (!bytes.empty()) {
    const size_t length =
        pieces.empty() ? bytes.size() : std::min(bytes.size(), pieces[next++ % pieces.size()]);
    buffer += bytes.substr(0, length);
    bytes.remove_prefix(length);
    for (bool more = true; more;) {
      switch (parser.advance(buffer)) {
        case RequestParser::Event::kNeedMore: more = false; break;
        case RequestParser::Event::kHeader: CHECK(!parser.in_header()); break;
        case RequestParser::Event::kComplete: out.requests.push_back(parser.take_request()); break;
        case RequestParser::Event::kFault: out.fault = parser.fault(); return out;
      }
    }
  }
  return out;
}

void check_equal(const Parsed& a, const Parsed& b) {
  CHECK(a.requests.size() == b.requests.size(), "{} against {} requests", a.requests.size(),
        b.requests.size());
  for (size_t i = 0; i < a.requests.size(); ++i) {
    const Request& x = a.requests[i];
    const Request& y = b.requests[i];
    CHECK(x.method == y.method && x.target == y.target && x.body == y.body);
    CHECK(x.headers.size() == y.headers.size());
    for (size_t h = 0; h < x.headers.size(); ++h) {
      CHECK(x.headers[h].name == y.headers[h].name && x.headers[h].value == y.headers[h].value);
    }
  }
  CHECK(a.fault.has_value() == b.fault.has_value());
  if (a.fault) {
    CHECK(a.fault->status == b.fault->status && a.fault->code == b.fault->code, "{} {} against {} {}",
          a.fault->status, a.fault->code, b.fault->status, b.fault->code);
  }
}

}  // namespace
}  // namespace pegainfer::http

// Input: how many pieces there are and their lengths, then the bytes. The limits are small, so that inputs
// reach them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer::http;
  static const Limits limits{.max_uri = 64,
                             .max_header_line = 128,
                             .max_header_bytes = 256,
                             .max_headers = 8,
                             .max_body = 64,
                             .max_chunks = 4};
  pegainfer::fuzz::Input input(data, size);
  std::vector<size_t> pieces(1 + input.below(4));
  for (size_t& piece : pieces) piece = 1 + input.below(32);
  const Parsed whole = parse(input.rest(), {}, limits);
  check_equal(whole, parse(input.rest(), pieces, limits));
  check_equal(whole, parse(input.rest(), {1}, limits));
  for (const Request& request : whole.requests) {
    CHECK(request.body.size() <= limits.max_body && request.headers.size() <= limits.max_headers);
    CHECK(!request.method.empty() && !request.target.empty());
  }
  if (whole.fault) {
    pegainfer::fuzz::check_message(whole.fault->message);
    CHECK(whole.fault->status >= 400 && whole.fault->status <= 505);
  }
  return 0;
}
