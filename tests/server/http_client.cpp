#include "server/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/check.h"

namespace pegainfer::testing {
namespace {

constexpr std::chrono::milliseconds kPatience{10'000};

std::string lower(std::string s) {
  std::ranges::transform(s, s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

}  // namespace

HttpClient::HttpClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  CHECK(fd_ >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int rc = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  CHECK(rc == 0, "connect to port {}", port);
}

HttpClient::~HttpClient() { close(); }

void HttpClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void HttpClient::half_close() { ::shutdown(fd_, SHUT_WR); }

void HttpClient::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool HttpClient::fill(std::chrono::milliseconds limit) {
  pollfd p{fd_, POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(limit.count())) <= 0) return false;
  char bytes[65536];
  const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

bool HttpClient::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos)
    if (!fill(kPatience)) return false;
  buffer_.erase(0, buffer_.find(text) + text.size());
  return true;
}

std::string HttpClient::read_some() {
  if (buffer_.empty()) fill(kPatience);
  return std::exchange(buffer_, {});
}

bool HttpClient::closed_within(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd p{fd_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&p, 1, static_cast<int>(left.count())) <= 0) return false;
    char bytes[65536];
    if (::recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
  }
}

std::optional<HttpAnswer> HttpClient::read_head() {
  while (buffer_.find("\r\n\r\n") == std::string::npos)
    if (!fill(kPatience)) return std::nullopt;
  const size_t end = buffer_.find("\r\n\r\n");
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  HttpAnswer answer;
  size_t line = head.find("\r\n");
  answer.status = std::stoi(head.substr(head.find(' ') + 1));
  while (line + 2 < head.size()) {
    const size_t next = head.find("\r\n", line + 2);
    const std::string text = head.substr(line + 2, next - line - 2);
    const size_t colon = text.find(": ");
    answer.headers[lower(text.substr(0, colon))] = text.substr(colon + 2);
    line = next;
  }
  return answer;
}

std::optional<HttpAnswer> HttpClient::read_answer(bool head) {
  auto answer = read_head();
  if (!answer || head || answer->status == 204 || answer->status == 100) return answer;
  if (answer->headers.contains("transfer-encoding")) {
    for (;;) {
      while (buffer_.find("\r\n") == std::string::npos)
        if (!fill(kPatience)) return std::nullopt;
      const size_t start = buffer_.find("\r\n") + 2;
      const size_t size = std::stoul(buffer_, nullptr, 16);
      while (buffer_.size() < start + size + 2)
        if (!fill(kPatience)) return std::nullopt;
      std::string chunk = buffer_.substr(start, size);
      buffer_.erase(0, start + size + 2);
      if (size == 0) return answer;
      answer->body += chunk;
      answer->chunks.push_back(std::move(chunk));
    }
  }
  if (!answer->headers.contains("content-length")) {  // it ends with the connection
    while (fill(kPatience)) {
    }
    answer->body = std::exchange(buffer_, {});
    return answer;
  }
  const size_t size = std::stoul(answer->headers["content-length"]);
  while (buffer_.size() < size)
    if (!fill(kPatience)) return std::nullopt;
  answer->body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return answer;
}

std::string post(std::string_view path, std::string_view body, std::string_view more_headers) {
  std::string out = "POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n";
  out += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  out += more_headers;
  out += "\r\n";
  out += body;
  return out;
}

std::string get(std::string_view path, std::string_view more_headers) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more_headers) + "\r\n";
}

std::optional<HttpAnswer> ask(uint16_t port, std::string_view request) {
  HttpClient client(port);
  if (!client.send(request)) return std::nullopt;
  return client.read_answer();
}

}  // namespace pegainfer::testing
