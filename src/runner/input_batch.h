// InputBatch: a StepPlan on its way to the device and its results on their way back. One block of staging
// memory goes up in one copy, one comes down.
//
// The blocks on the device (StepBlocks) are shared by all launches under way, for these run in order: a
// step's inputs are written when the step before has ended, and its outputs were fetched then. So the
// addresses of a bucket's tensors are the same in every step, and a captured graph can be launched for any of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "pegainfer/result.h"
#include "runner/step_tensors.h"
#include "sampling/host_sampler.h"
#include "sampling/logits_work.h"
#include "sampling/validate.h"
#include "scheduler/step_plan.h"

namespace pegainfer {

struct InputBatchLimits {
  int max_num_seqs = 0;
  int max_num_batched_tokens = 0;
  int max_blocks_per_seq = 0;
  int vocab_size = 0;
  LogitsWorkLimits logits_work{.entries = 0, .masks = 0, .host_rows = 0};
};

struct StepBlocks {  // on the device
  Buffer inputs;
  Buffer outputs;

  static Result<StepBlocks> create(Backend& backend, const InputBatchLimits& limits);
};

class InputBatch {
 public:
  // The blocks must outlive it.
  static Result<InputBatch> create(Backend& backend, const InputBatchLimits& limits,
                                   const StepBlocks& blocks);

  // Writes the plan into staging memory. `previous` is the batch of the launch before, of which it takes
  // pending tokens; null: there is none. The tensors, on the device, are valid until the next stage().
  //
  // bucket > 0: the plan is one of `plan.seqs.size() <= bucket` sequences with one token each, all sampled
  // without log-probabilities; it is filled up to `bucket` rows that read and write the null block alone, and
  // the tensors are bucket_tensors(bucket).
  StepTensors stage(const StepPlan& plan, const KvCacheView& kv, int vocab_size, const InputBatch* previous,
                    int bucket = 0);
  // Whether stage() can put the plan into a bucket.
  [[nodiscard]] static bool fits_a_bucket(const StepPlan& plan);
  // The tensors of every step staged with this bucket.
  [[nodiscard]] StepTensors bucket_tensors(int bucket, const KvCacheView& kv) const;
  // Enqueue the copies of the last stage(): its inputs to the device, its results back.
  void upload();
  void fetch();
  // After the download has ended; `result` is filled anew. Rows of the host are sampled here.
  void results(StepResult& result);

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

  InputBatch(Backend& backend, const InputBatchLimits& limits, const StepBlocks& blocks)
      : backend_(&backend),
        limits_(limits),
        device_in_(blocks.inputs.bytes()),
        device_out_(blocks.outputs.bytes()) {}
  StepTensors stage_bucket(const StepPlan& plan, const KvCacheView& kv, const InputBatch* previous,
                           int bucket);
  void collect_rows(const StepPlan& plan, int vocab_size);
  void check(const StepPlan& plan, const KvCacheView& kv, int vocab_size) const;
  void check_seq(const StepPlan& plan, const ScheduledSeq& seq, const KvCacheView& kv, int vocab_size) const;
  void fill_tokens(const StepPlan& plan, int block_size) const;
  void fill_sources(const StepPlan& plan, const InputBatch* previous) const;
  void fill_rows(const StepPlan& plan) const;
  void fill_work(const StepPlan& plan) const;
  void keep_host_work(const StepPlan& plan);
  void sample_on_host(const LogitsRow& row, int64_t host_row, SeqResult& result);
  void fill_padding(const StepPlan& plan) const;
  [[nodiscard]] int sampled_row(RequestId id, size_t& hint) const;
  [[nodiscard]] int64_t num_rows() const {
    return static_cast<int64_t>(sampled_.size() + prompt_.size() + host_rows_.size());
  }
  [[nodiscard]] PositionLogprobs logprobs_at(int64_t out_row, TokenId chosen, int top_n) const;

  Backend* backend_;
  InputBatchLimits limits_;
  std::span<std::byte> device_in_, device_out_;
  Buffer staging_in_, staging_out_;
  // Of the last stage():
  std::vector<LogitsRow> sampled_;  // those without log-probabilities first
  std::vector<LogitsRow> prompt_;
  std::vector<LogitsRow> with_logprobs_;  // the rest of sampled_, while it is made
  std::vector<LogitsRow> host_rows_;
  struct HostWork {
    HostRow params;
    LogitsWork work;
  };
  std::vector<HostWork> host_work_;  // of host_rows_
  LogitsWorkList work_;              // a copy of the plan's, while there are host rows
  HostSampler host_sampler_;
  int num_pending_ = 0;
  std::vector<RequestId> ids_;
  StepTensors host_;    // views of the staging memory
  StepTensors device_;  // and of the device's
  size_t in_bytes_ = 0;
  size_t out_bytes_ = 0;
};

}  // namespace pegainfer
