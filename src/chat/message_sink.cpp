#include "chat/message_sink.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <utility>

namespace pegainfer::chat {
namespace {

bool is_blank(std::string_view text) { return text.find_first_not_of(kWhitespace) == std::string_view::npos; }

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

std::string make_mistral_id() {
  static const uint64_t seed = random_seed();
  static std::atomic<uint64_t> count{0};
  // splitmix64: a bijection of the counter, so that ids of one process differ but for their last bits.
  uint64_t x = seed + (count.fetch_add(1, std::memory_order_relaxed) + 1) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  x ^= x >> 31;
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string id(9, '0');
  for (char& c : id) {
    c = kAlphabet[x % kAlphabet.size()];
    x /= kAlphabet.size();
  }
  return id;
}

void MessageSink::text(std::string_view text) {
  if (text.empty()) return;
  if (blank_ && is_blank(text)) {
    held_ += text;
    return;
  }
  release();
  blank_ = false;
  delta_.content += text;
}

void MessageSink::release() {
  if (held_.empty()) return;
  delta_.content += held_;
  held_.clear();
  blank_ = false;
}

void MessageSink::begin_call(std::string name, std::string id) {
  held_.clear();
  blank_ = true;
  const int index = num_calls_++;
  muted_ = index > 0 && !parallel_;
  if (muted_) return;
  const bool valid = id.size() == 9 && std::all_of(id.begin(), id.end(), is_alphanumeric);
  if (ids_ == Ids::kNineAlphanumerics && !valid) id = make_mistral_id();
  delta_.tool_calls.push_back({.index = index, .id = std::move(id), .name = std::move(name)});
}

void MessageSink::arguments(std::string_view json) {
  if (muted_ || json.empty()) return;
  const int index = num_calls_ - 1;
  if (delta_.tool_calls.empty() || delta_.tool_calls.back().index != index) {
    delta_.tool_calls.push_back({.index = index});
  }
  delta_.tool_calls.back().arguments += json;
}

void MessageSink::finish() {
  if (num_calls_ > 0 && is_blank(held_)) held_.clear();
  release();
}

OutputDelta MessageSink::take() { return std::exchange(delta_, OutputDelta{}); }

}  // namespace pegainfer::chat
