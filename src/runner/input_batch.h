// InputBatch: a StepPlan on its way to the device and its results on their way back. One block of staging
// memory goes up in one copy, one comes down.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "pegainfer/result.h"
#include "runner/step_tensors.h"
#include "scheduler/step_plan.h"

namespace pegainfer {

struct InputBatchLimits {
  int max_num_seqs = 0;
  int max_num_batched_tokens = 0;
  int max_blocks_per_seq = 0;
};

class InputBatch {
 public:
  static constexpr int kMaxLogprobs = 20;  // top-n of log-probabilities a request may ask for

  static Result<InputBatch> create(Backend& backend, const InputBatchLimits& limits);

  // Writes the plan into staging memory. `previous` is the batch of the launch before, of which it takes
  // pending tokens; null: there is none. The tensors, on the device, are valid until the next stage().
  StepTensors stage(const StepPlan& plan, const KvCacheView& kv, int vocab_size, const InputBatch* previous);
  // Enqueue the copies of the last stage(): its inputs to the device, its results back.
  void upload();
  void fetch();
  // After the download has ended; `result` is filled anew.
  void results(StepResult& result) const;

  // Tensors of the largest step there can be, with addresses that must not be touched: for a dry run.
  static StepTensors largest(const InputBatchLimits& limits, const KvCacheView& kv);
  // Bytes of the device blocks, inputs and outputs.
  static size_t device_bytes(const InputBatchLimits& limits);

 private:
  // A row of logits: whose, and what it is for.
  struct LogitsRow {
    int seq = 0;
    int row = 0;         // in the batch
    TokenId target = 0;  // of a prompt row
    int logprobs = -1;   // top-n, -1: none
  };

  InputBatch(Backend& backend, const InputBatchLimits& limits) : backend_(&backend), limits_(limits) {}
  void collect_rows(const StepPlan& plan, int vocab_size);
  void check(const StepPlan& plan, const KvCacheView& kv, int vocab_size) const;
  void check_seq(const StepPlan& plan, const ScheduledSeq& seq, const KvCacheView& kv, int vocab_size) const;
  void fill_tokens(const StepPlan& plan, int block_size) const;
  void fill_sources(const StepPlan& plan, const InputBatch* previous) const;
  void fill_rows(const StepPlan& plan) const;
  [[nodiscard]] int sampled_row(RequestId id, size_t& hint) const;
  [[nodiscard]] PositionLogprobs logprobs_at(int64_t out_row, TokenId chosen, int top_n) const;

  Backend* backend_;
  InputBatchLimits limits_;
  Buffer staging_in_, device_in_, staging_out_, device_out_;
  // Of the last stage():
  std::vector<LogitsRow> sampled_;  // those without log-probabilities first
  std::vector<LogitsRow> prompt_;
  std::vector<LogitsRow> with_logprobs_;  // the rest of sampled_, while it is made
  int num_pending_ = 0;
  std::vector<RequestId> ids_;
  StepTensors host_;    // views of the staging memory
  StepTensors device_;  // and of the device's
  size_t in_bytes_ = 0;
  size_t out_bytes_ = 0;
};

}  // namespace pegainfer
