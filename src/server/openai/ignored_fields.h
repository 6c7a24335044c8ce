// Fields that change nothing here: those that are known and accepted, and those that nobody knows.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace pegainfer::openai {

struct IgnoredField {
  std::string_view name;
  std::string_view why;  // it may be left without effect
};

// In every generating endpoint; docs/request_fields.md has the same table.
std::span<const IgnoredField> ignored_fields();

// Counts fields that requests bring and no parser knows. Any thread.
class UnknownFields {
 public:
  // The first time a name comes it is logged.
  void count(std::string_view name);
  [[nodiscard]] uint64_t total() const { return total_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> total_{0};
  std::mutex mutex_;
  std::set<std::string, std::less<>> logged_;
};

// The process's.
UnknownFields& unknown_fields();

}  // namespace pegainfer::openai
