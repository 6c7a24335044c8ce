// RequestOutcome: what became of one request of a benchmark, whoever answered it.
#pragma once

#include <string>
#include <vector>

namespace pegainfer::bench {

struct RequestOutcome {
  bool success = false;
  std::string error;  // when not; "429: ..." for an answer with that status
  int prompt_len = 0;
  int output_len = 0;  // by the server's usage, or the number of arrivals
  // Seconds. `start` from the benchmark's, the others from `start`.
  double start = 0;
  double ttft = 0;           // to the first token
  double latency = 0;        // to the last token
  std::vector<double> itls;  // between arrivals after the first
  std::string text;          // when kept
};

}  // namespace pegainfer::bench
