#include "load/livez_probe.h"

#include <boost/asio.hpp>
#include <chrono>

namespace pegainfer::load {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

namespace {

std::string ask(uint16_t port) {
  asio::io_context io;
  tcp::socket socket(io);
  boost::system::error_code error;
  socket.connect({asio::ip::address_v4::loopback(), port}, error);
  if (error) return "no connection: " + error.message();
  const std::string request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  asio::write(socket, asio::buffer(request), error);
  std::string answer;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  return answer;
}

}  // namespace

LivezProbe::LivezProbe(uint16_t port)
    : thread_([this, port](const std::stop_token& stop) { run(stop, port); }) {}

void LivezProbe::stop() {
  thread_.request_stop();
  thread_.join();
}

void LivezProbe::run(const std::stop_token& stop, uint16_t port) {
  while (!stop.stop_requested()) {
    const auto begin = Clock::now();
    const std::string answer = ask(port);
    if (answer.starts_with("HTTP/1.1 200")) {
      seconds_.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    } else {
      wrong_.push_back("/livez: " + answer);
    }
    std::this_thread::sleep_until(begin + std::chrono::milliseconds(50));
  }
}

}  // namespace pegainfer::load
