// HostSampler: a row of logits sampled on the host, with the stages that only exist there. A pure function of
// the row, its parameters, the seed and the position; docs/sampling.md defines the stages.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pegainfer/engine.h"
#include "pegainfer/ids.h"
#include "sampling/logits_work.h"

namespace pegainfer {

// The plain sampler's parameters of a row, as backend/ops.h has them. temperature is above 0.
struct HostRow {
  float temperature = 1;
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;
  uint64_t position = 0;
};

struct HostSample {
  TokenId token = 0;      // -1: the row has a NaN or +infinity, or nothing but -infinity
  float mirostat_mu = 0;  // afterwards
};

class HostSampler {
 public:
  // `raw`: as the model made them. work.host is set; its edits, said tokens and masks are in `list`.
  HostSample sample(std::span<const float> raw, const HostRow& row, const LogitsWork& work,
                    const LogitsWorkList& list);

  struct Candidate {
    TokenId token = 0;
    float logit = 0;
    double p = 0;  // over those that are left
  };
  // The distribution that the last sample() drew from, by token. With mirostat, after its cut.
  [[nodiscard]] std::span<const Candidate> left() const { return left_; }

 private:
  void process(std::span<const float> raw, const LogitsWork& work, const LogitsWorkList& list);
  [[nodiscard]] bool collect();
  void keep_top_n_sigma(float n);
  [[nodiscard]] double temperature(const HostRow& row, const HostStages& stages) const;
  void weigh(double temperature);
  void normalise();
  void keep_min_p(float min_p);
  void keep_top_k(int64_t k);
  void keep_typical(float typical_p);
  void keep_top_p(float top_p);
  void exclude_top(const HostRow& row, const HostStages& stages);
  void cut_for_mirostat(const HostStages& stages);
  // Keeps the first ones in the order of `before` until their probabilities pass what `enough` says.
  template <class Before, class Enough>
  void keep_first(Before before, Enough enough);
  [[nodiscard]] const Candidate& draw(double uniform) const;

  std::vector<float> logits_;
  std::vector<Candidate> left_;
};

// As Ops::logprobs gives them, of a row on the host.
PositionLogprobs host_logprobs(std::span<const float> raw, TokenId chosen, int top_n);

}  // namespace pegainfer
