#include "server/http/request_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

namespace pegainfer::http {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

// Bytes a chunk's size line or the trailers may take before they must be complete.
constexpr size_t kMaxChunkLine = 16384;

std::string to_lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "http://host:port/path" is allowed to any server, as proxies are sent it.
std::string_view without_authority(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (!target.starts_with(kScheme)) return target;
  const size_t slash = target.find('/', kScheme.size());
  return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
}

// The line of the last chunk, and not yet the five bytes that the shortest end of a body has. Beast's parser,
// which has seen the line, asserts that it is called again with all of them.
bool is_begun_last_chunk(std::string_view buffer) {
  return buffer.size() < 5 && buffer.starts_with('0') && buffer.find("\r\n") != std::string_view::npos;
}

}  // namespace

struct RequestParser::Impl {
  explicit Impl(const Limits& l) : limits(l) { reset(); }

  void reset() {
    scanner = HeaderScanner(limits);
    parser.emplace();
    parser->header_limit(static_cast<uint32_t>(2 * (limits.max_uri + limits.max_header_bytes)));
    parser->body_limit(limits.max_body);
    parser->on_chunk_header(count_chunks);
    num_chunks = 0;
    too_many_chunks = false;
    header_done = false;
    started = false;
    framing = {};
    request = {};
    fault.reset();
  }

  Event fail(Fault f) {
    fault = std::move(f);
    return Event::kFault;
  }

  Event read_header(std::string& buffer);
  Event read_body(std::string& buffer);
  void fill_request();

  Limits limits;
  HeaderScanner scanner{limits};
  std::optional<bhttp::request_parser<bhttp::string_body>> parser;
  std::function<void(uint64_t, beast::string_view, beast::error_code&)> count_chunks =
      [this](uint64_t size, beast::string_view, beast::error_code& ec) {
        if (size > 0 && ++num_chunks > limits.max_chunks) {
          too_many_chunks = true;
          ec = bhttp::error::body_limit;
        }
      };
  size_t num_chunks = 0;
  bool too_many_chunks = false;
  bool header_done = false;
  bool started = false;
  Framing framing;
  Request request;
  std::optional<Fault> fault;
};

RequestParser::RequestParser(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::Event RequestParser::advance(std::string& buffer) {
  if (impl_->fault) return Event::kFault;
  if (impl_->header_done) return impl_->read_body(buffer);
  return impl_->read_header(buffer);
}

RequestParser::Event RequestParser::Impl::read_header(std::string& buffer) {
  started = started || !buffer.empty();
  switch (scanner.scan(buffer)) {
    case HeaderScanner::State::kNeedMore: return Event::kNeedMore;
    case HeaderScanner::State::kFault: return fail(scanner.fault());
    case HeaderScanner::State::kComplete: break;
  }
  const std::string_view block =
      std::string_view(buffer).substr(scanner.begin(), scanner.end() - scanner.begin());
  HeaderVerdict verdict = check_header_block(block, limits);
  if (verdict.fault) return fail(std::move(*verdict.fault));
  framing = verdict.framing;
  if (framing.content_length.value_or(0) > limits.max_body)
    return fail(
        {413, "request_too_large", "the body is larger than " + std::to_string(limits.max_body) + " bytes"});

  beast::error_code ec;
  parser->put(boost::asio::buffer(block.data(), block.size()), ec);
  if ((ec && ec != bhttp::error::need_more) || !parser->is_header_done())
    return fail({400, "bad_request", "the headers are malformed"});
  buffer.erase(0, scanner.end());
  header_done = true;
  parser->eager(true);
  fill_request();
  return Event::kHeader;
}

RequestParser::Event RequestParser::Impl::read_body(std::string& buffer) {
  while (!parser->is_done() && !buffer.empty()) {
    if (framing.chunked && is_begun_last_chunk(buffer)) break;
    beast::error_code ec;
    const size_t used = parser->put(boost::asio::buffer(buffer), ec);
    buffer.erase(0, used);
    if (ec == bhttp::error::body_limit) {
      return fail({413, "request_too_large",
                   too_many_chunks
                       ? "the body is cut into more than " + std::to_string(limits.max_chunks) + " chunks"
                       : "the body is larger than " + std::to_string(limits.max_body) + " bytes"});
    }
    if (ec && ec != bhttp::error::need_more)
      return fail({400, "bad_request", "the body's chunks are malformed"});
    if (used == 0) break;
  }
  if (!parser->is_done()) {
    if (buffer.size() > kMaxChunkLine) return fail({400, "bad_request", "the body's chunks are malformed"});
    return Event::kNeedMore;
  }
  request.body = std::move(parser->get().body());
  return Event::kComplete;
}

void RequestParser::Impl::fill_request() {
  const auto& message = parser->get();
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  const std::string_view origin = without_authority(request.target);
  request.path = std::string(origin.substr(0, origin.find('?')));
  request.minor_version = message.version() == 10 ? 0 : 1;
  for (const auto& field : message)
    request.headers.push_back({to_lower(field.name_string()), std::string(field.value())});
}

const Request& RequestParser::request() const { return impl_->request; }
bool RequestParser::has_body() const {
  return impl_->framing.chunked || impl_->framing.content_length.value_or(0) > 0;
}
bool RequestParser::keep_alive() const { return impl_->header_done && impl_->parser->get().keep_alive(); }
bool RequestParser::expects_continue() const {
  return impl_->request.minor_version == 1 && impl_->request.header("expect") != nullptr;
}
bool RequestParser::in_header() const { return impl_->started && !impl_->header_done; }
bool RequestParser::in_body() const { return impl_->header_done && !impl_->parser->is_done(); }
const Fault& RequestParser::fault() const { return *impl_->fault; }

Request RequestParser::take_request() {
  Request taken = std::move(impl_->request);
  impl_->reset();
  return taken;
}

}  // namespace pegainfer::http
