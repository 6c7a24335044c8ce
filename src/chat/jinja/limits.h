// What a template may cost. Each limit is an error with its row and column.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pegainfer::jinja {

struct Limits {
  size_t source_bytes = size_t{4} << 20;
  int parse_depth = 120;                 // brackets, blocks and operators within each other
  int depth = 2000;                      // of evaluation, macros included
  size_t stack_bytes = size_t{2} << 20;  // the same, in what it takes of the thread's stack
  int macro_depth = 200;                 // macros that call macros
  int64_t steps = 10'000'000;
  size_t output_bytes = size_t{16} << 20;   // and what the inputs have; also of any one string
  size_t memory_bytes = size_t{256} << 20;  // of all values made, and 64 times the inputs
  int64_t range = 100'000;                  // as Jinja's sandbox
};

}  // namespace pegainfer::jinja
