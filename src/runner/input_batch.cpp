#include "runner/input_batch.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace pegainfer {

namespace {

// An address that is not null and never touched: for sizes and dry runs.
auto* const kNoMemory = reinterpret_cast<std::byte*>(Arena::kAlignment);  // NOLINT(performance-no-int-to-ptr)

struct StepShape {
  int num_tokens = 0;
  int num_seqs = 0;
  int max_blocks = 0;  // of a sequence
  int num_logits = 0;
  int num_sampled = 0;
  int num_logprobs = 0;  // rows
  int top_n = 0;
};

// Cuts tensors out of a block; addresses are a function of the shapes alone.
class Cutter {
 public:
  explicit Cutter(std::byte* base) : base_(base) {}
  Tensor cut(DType dtype, int64_t rows, int64_t cols = 1) {
    Tensor t = Tensor::of(base_ + bytes_, dtype, rows, cols);
    bytes_ = (bytes_ + t.bytes() + 63) / 64 * 64;
    return t;
  }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  std::byte* base_;
  size_t bytes_ = 0;
};

size_t cut_inputs(StepTensors& step, const StepShape& s, std::byte* base) {
  Cutter block(base);
  BatchView& b = step.batch;
  b.token_ids = block.cut(DType::kI32, s.num_tokens);
  b.positions = block.cut(DType::kI32, s.num_tokens);
  b.slot_mapping = block.cut(DType::kI32, s.num_tokens);
  b.query_start = block.cut(DType::kI32, s.num_seqs + 1);
  b.context_len = block.cut(DType::kI32, s.num_seqs);
  b.block_table = block.cut(DType::kI32, s.num_seqs, s.max_blocks);
  b.logits_rows = block.cut(DType::kI32, s.num_logits);
  step.sampler.temperature = block.cut(DType::kF32, s.num_sampled);
  step.sampler.top_k = block.cut(DType::kI32, s.num_sampled);
  step.sampler.top_p = block.cut(DType::kF32, s.num_sampled);
  step.sampler.min_p = block.cut(DType::kF32, s.num_sampled);
  step.sampler.seed = block.cut(DType::kI64, s.num_sampled);
  step.sampler.position = block.cut(DType::kI64, s.num_sampled);
  step.targets = block.cut(DType::kI32, s.num_logits - s.num_sampled);
  return block.bytes();
}

size_t cut_outputs(StepTensors& step, const StepShape& s, std::byte* base) {
  Cutter block(base);
  step.out_tokens = block.cut(DType::kI32, s.num_sampled);
  step.out_logprobs = block.cut(DType::kF32, s.num_logprobs);
  step.out_top_ids = block.cut(DType::kI32, s.num_logprobs, s.top_n);
  step.out_top_logprobs = block.cut(DType::kF32, s.num_logprobs, s.top_n);
  return block.bytes();
}

// No step is larger in any of its tensors: each sequence samples, each row wants log-probabilities (a row of
// the batch gives one row of logits at most).
StepShape largest_shape(const InputBatchLimits& limits) {
  const int seqs = std::min(limits.max_num_seqs, limits.max_num_batched_tokens);
  return {.num_tokens = limits.max_num_batched_tokens,
          .num_seqs = seqs,
          .max_blocks = limits.max_blocks_per_seq,
          .num_logits = limits.max_num_batched_tokens,
          .num_sampled = seqs,
          .num_logprobs = limits.max_num_batched_tokens,
          .top_n = InputBatch::kMaxLogprobs};
}

int num_blocks_of(const ScheduledSeq& seq, int block_size) {
  const int positions = seq.num_computed_tokens + seq.num_tokens;
  return (positions + block_size - 1) / block_size;
}

}  // namespace

Result<InputBatch> InputBatch::create(Backend& backend, const InputBatchLimits& limits) {
  InputBatch batch(backend, limits);
  const StepShape shape = largest_shape(limits);
  StepTensors unused;
  const size_t in_bytes = cut_inputs(unused, shape, kNoMemory);
  const size_t out_bytes = cut_outputs(unused, shape, kNoMemory);
  ASSIGN_OR_RETURN(batch.staging_in_, backend.allocate_staging(in_bytes));
  ASSIGN_OR_RETURN(batch.device_in_, backend.allocate(in_bytes));
  ASSIGN_OR_RETURN(batch.staging_out_, backend.allocate_staging(out_bytes));
  ASSIGN_OR_RETURN(batch.device_out_, backend.allocate(out_bytes));
  return batch;
}

size_t InputBatch::device_bytes(const InputBatchLimits& limits) {
  StepTensors unused;
  return cut_inputs(unused, largest_shape(limits), kNoMemory) +
         cut_outputs(unused, largest_shape(limits), kNoMemory);
}

StepTensors InputBatch::largest(const InputBatchLimits& limits, const KvCacheView& kv) {
  const StepShape shape = largest_shape(limits);
  StepTensors step;
  cut_inputs(step, shape, kNoMemory);
  cut_outputs(step, shape, kNoMemory);
  step.num_sampled = step.num_sampled_logprobs = shape.num_sampled;
  step.top_n = shape.top_n;
  step.batch.num_tokens = step.batch.max_query_len = shape.num_tokens;
  step.batch.num_seqs = shape.num_seqs;
  step.batch.max_context_len = shape.max_blocks * kv.block_size;
  step.batch.kv = kv;
  return step;
}

InputBatch::Rows InputBatch::collect_rows(const StepPlan& plan, int vocab_size) {
  Rows rows;
  std::vector<LogitsRow> with_logprobs;
  int first = 0;
  for (size_t s = 0; s < plan.seqs.size(); ++s) {
    const ScheduledSeq& seq = plan.seqs[s];
    const int index = static_cast<int>(s);
    const int last = first + seq.num_tokens - 1;
    const int prompt_top = std::min(seq.prompt_logprobs, vocab_size);
    int row = first + seq.first_target_row;
    for (const TokenId target : plan.targets(seq))
      rows.prompt.push_back({index, row++, target, std::max(prompt_top, 0)});
    if (seq.sample) {
      const int top = std::min(seq.logprobs, vocab_size);
      (top >= 0 ? with_logprobs : rows.sampled).push_back({index, last, 0, top});
    }
    first = last + 1;
  }
  rows.num_sampled_logprobs = static_cast<int>(with_logprobs.size());
  rows.sampled.insert(rows.sampled.end(), with_logprobs.begin(), with_logprobs.end());
  for (const auto* group : {&rows.sampled, &rows.prompt})
    for (const LogitsRow& row : *group) rows.top_n = std::max(rows.top_n, row.logprobs);
  return rows;
}

void InputBatch::check(const StepPlan& plan, const KvCacheView& kv, int vocab_size) const {
  CHECK(!plan.seqs.empty() && static_cast<int>(plan.seqs.size()) <= limits_.max_num_seqs,
        "{} sequences of {}", plan.seqs.size(), limits_.max_num_seqs);
  int num_tokens = 0;
  for (const ScheduledSeq& seq : plan.seqs) {
    CHECK(seq.first_token == num_tokens, "tokens from {} on, {} before", seq.first_token, num_tokens);
    num_tokens += seq.num_tokens;
    CHECK(seq.num_tokens > 0 && seq.first_target_row >= 0 &&
              seq.first_target_row + seq.num_targets + (seq.sample ? 1 : 0) <= seq.num_tokens,
          "{} tokens, {} targets, sample {}", seq.num_tokens, seq.num_targets, seq.sample);
    const int blocks = num_blocks_of(seq, kv.block_size);
    CHECK(seq.num_computed_tokens >= 0 && blocks <= limits_.max_blocks_per_seq && blocks <= seq.num_blocks,
          "{} blocks needed, {} in the table, at most {}", blocks, seq.num_blocks,
          limits_.max_blocks_per_seq);
    for (const int block : plan.blocks(seq).first(static_cast<size_t>(blocks))) {
      CHECK(block > 0 && block < kv.num_blocks, "block {} of {}", block, kv.num_blocks);
    }
    const auto known = [&](TokenId id) { return id >= 0 && id < vocab_size; };
    CHECK(std::ranges::all_of(plan.tokens(seq), known), "a token id outside the vocabulary");
    CHECK(std::ranges::all_of(plan.targets(seq), known), "a target outside the vocabulary");
    CHECK(std::max(seq.logprobs, seq.prompt_logprobs) <= kMaxLogprobs, "{} and {} top log-probabilities",
          seq.logprobs, seq.prompt_logprobs);
  }
  CHECK(num_tokens == plan.num_tokens && plan.num_tokens <= limits_.max_num_batched_tokens,
        "{} tokens, the plan says {}, at most {}", num_tokens, plan.num_tokens,
        limits_.max_num_batched_tokens);
}

void InputBatch::fill_tokens(const StepPlan& plan, int block_size, const StepTensors& host) const {
  const BatchView& b = host.batch;
  auto* token_ids = static_cast<int32_t*>(b.token_ids.data);
  auto* positions = static_cast<int32_t*>(b.positions.data);
  auto* slots = static_cast<int32_t*>(b.slot_mapping.data);
  auto* query_start = static_cast<int32_t*>(b.query_start.data);
  auto* context_len = static_cast<int32_t*>(b.context_len.data);
  int row = 0;
  for (size_t s = 0; s < plan.seqs.size(); ++s) {
    const ScheduledSeq& seq = plan.seqs[s];
    query_start[s] = row;
    int position = seq.num_computed_tokens;
    const auto blocks_of_seq = plan.blocks(seq);
    for (const TokenId token : plan.tokens(seq)) {
      token_ids[row] = token;
      positions[row] = position;
      slots[row] =
          blocks_of_seq[static_cast<size_t>(position / block_size)] * block_size + position % block_size;
      ++row;
      ++position;
    }
    context_len[s] = position;
    auto* table = b.block_table.row<int32_t>(static_cast<int64_t>(s));
    const int blocks = num_blocks_of(seq, block_size);
    std::copy_n(blocks_of_seq.begin(), blocks, table);
    std::fill(table + blocks, table + b.block_table.cols, 0);  // the null block
  }
  query_start[plan.seqs.size()] = row;
}

void InputBatch::fill_rows(const StepPlan& plan, const StepTensors& host) const {
  auto* logits_rows = static_cast<int32_t*>(host.batch.logits_rows.data);
  auto* targets = static_cast<int32_t*>(host.targets.data);
  for (size_t i = 0; i < rows_.sampled.size(); ++i) {
    const ScheduledSeq& seq = plan.seqs[static_cast<size_t>(rows_.sampled[i].seq)];
    logits_rows[i] = rows_.sampled[i].row;
    static_cast<float*>(host.sampler.temperature.data)[i] = seq.temperature;
    static_cast<int32_t*>(host.sampler.top_k.data)[i] = seq.top_k;
    static_cast<float*>(host.sampler.top_p.data)[i] = seq.top_p;
    static_cast<float*>(host.sampler.min_p.data)[i] = seq.min_p;
    static_cast<int64_t*>(host.sampler.seed.data)[i] = static_cast<int64_t>(seq.seed);
    static_cast<int64_t*>(host.sampler.position.data)[i] = int64_t{seq.num_computed_tokens} + seq.num_tokens;
  }
  for (size_t i = 0; i < rows_.prompt.size(); ++i) {
    logits_rows[rows_.sampled.size() + i] = rows_.prompt[i].row;
    targets[i] = rows_.prompt[i].target;
  }
}

StepTensors InputBatch::stage(const StepPlan& plan, const KvCacheView& kv, int vocab_size) {
  check(plan, kv, vocab_size);
  rows_ = collect_rows(plan, vocab_size);
  ids_.clear();
  StepShape shape{.num_tokens = plan.num_tokens, .num_seqs = static_cast<int>(plan.seqs.size())};
  StepTensors step;
  for (const ScheduledSeq& seq : plan.seqs) {
    ids_.push_back(seq.id);
    const int length = seq.num_tokens;
    step.batch.max_query_len = std::max(step.batch.max_query_len, length);
    step.batch.max_context_len = std::max(step.batch.max_context_len, seq.num_computed_tokens + length);
    shape.max_blocks = std::max(shape.max_blocks, num_blocks_of(seq, kv.block_size));
  }
  shape.num_sampled = static_cast<int>(rows_.sampled.size());
  shape.num_logits = shape.num_sampled + static_cast<int>(rows_.prompt.size());
  shape.num_logprobs = rows_.num_sampled_logprobs + static_cast<int>(rows_.prompt.size());
  shape.top_n = rows_.top_n;
  step.batch.num_tokens = shape.num_tokens;
  step.batch.num_seqs = shape.num_seqs;
  step.batch.kv = kv;
  step.num_sampled = shape.num_sampled;
  step.num_sampled_logprobs = rows_.num_sampled_logprobs;
  step.top_n = shape.top_n;

  host_ = step;
  const size_t in_bytes = cut_inputs(host_, shape, staging_in_.data());
  out_bytes_ = cut_outputs(host_, shape, staging_out_.data());
  fill_tokens(plan, kv.block_size, host_);
  fill_rows(plan, host_);
  cut_inputs(step, shape, device_in_.data());
  cut_outputs(step, shape, device_out_.data());
  backend_->upload(staging_in_.bytes().first(in_bytes), device_in_.bytes().first(in_bytes));
  return step;
}

void InputBatch::fetch() {
  if (out_bytes_ > 0)
    backend_->download(device_out_.bytes().first(out_bytes_), staging_out_.bytes().first(out_bytes_));
}

PositionLogprobs InputBatch::logprobs_at(int64_t out_row, TokenId chosen, int top_n) const {
  PositionLogprobs out;
  out.chosen = {chosen, *host_.out_logprobs.row<float>(out_row)};
  for (int i = 0; i < top_n; ++i)
    out.top.push_back(
        {host_.out_top_ids.row<int32_t>(out_row)[i], host_.out_top_logprobs.row<float>(out_row)[i]});
  return out;
}

void InputBatch::results(StepResult& result) const {
  result.seqs.clear();
  for (const RequestId id : ids_)
    result.seqs.push_back({.id = id, .tokens = {}, .logprobs = {}, .prompt_logprobs = {}});
  int64_t out_row = 0;
  for (size_t i = 0; i < rows_.sampled.size(); ++i) {
    const LogitsRow& row = rows_.sampled[i];
    SeqResult& seq = result.seqs[static_cast<size_t>(row.seq)];
    const TokenId token = *host_.out_tokens.row<int32_t>(static_cast<int64_t>(i));
    seq.tokens.push_back(token);
    if (row.logprobs >= 0) seq.logprobs.push_back(logprobs_at(out_row++, token, row.logprobs));
  }
  for (const LogitsRow& row : rows_.prompt)
    result.seqs[static_cast<size_t>(row.seq)].prompt_logprobs.push_back(
        logprobs_at(out_row++, row.target, row.logprobs));
}

}  // namespace pegainfer
