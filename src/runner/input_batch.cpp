#include "runner/input_batch.h"

#include <algorithm>
#include <cstddef>
#include <span>
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
  int num_sources = 0;  // num_tokens when some are pending, else 0
  // Of the sampled rows, 0 rows when none has any.
  int edit_rows = 0;
  int64_t num_edits = 0;
  int mask_rows = 0;
  int num_masks = 0;
  int said_rows = 0;
  int64_t num_said = 0;
  int num_host = 0;
  int vocab = 0;
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

void cut_work(StepTensors& step, const StepShape& s, Cutter& block) {
  const auto begins = [](int rows) { return rows > 0 ? rows + 1 : 0; };
  step.edits.begin = block.cut(DType::kI32, begins(s.edit_rows));
  step.edits.ids = block.cut(DType::kI32, s.num_edits);
  step.edits.adds = block.cut(DType::kF32, s.num_edits);
  step.masks.index = block.cut(DType::kI32, s.mask_rows);
  step.masks.words = block.cut(DType::kI32, s.num_masks, mask_words(s.vocab));
  step.penalties.begin = block.cut(DType::kI32, begins(s.said_rows));
  step.penalties.ids = block.cut(DType::kI32, s.num_said);
  step.penalties.counts = block.cut(DType::kI32, s.num_said);
  step.penalties.repetition = block.cut(DType::kF32, s.said_rows);
  step.penalties.presence = block.cut(DType::kF32, s.said_rows);
  step.penalties.frequency = block.cut(DType::kF32, s.said_rows);
  step.host_rows = block.cut(DType::kI32, s.num_host);
  step.num_host = s.num_host;
}

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
  step.targets = block.cut(DType::kI32, s.num_logits - s.num_sampled - s.num_host);
  step.source_rows = block.cut(DType::kI32, s.num_sources);
  cut_work(step, s, block);
  return block.bytes();
}

size_t cut_outputs(StepTensors& step, const StepShape& s, std::byte* base) {
  Cutter block(base);
  step.out_tokens = block.cut(DType::kI32, s.num_sampled);
  step.out_logprobs = block.cut(DType::kF32, s.num_logprobs);
  step.out_top_ids = block.cut(DType::kI32, s.num_logprobs, s.top_n);
  step.out_top_logprobs = block.cut(DType::kF32, s.num_logprobs, s.top_n);
  step.out_host_logits = block.cut(DType::kF32, s.num_host, s.vocab);
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
          .top_n = kMaxLogprobs,
          .num_sources = limits.max_num_batched_tokens,
          .edit_rows = limits.logits_work.entries > 0 ? seqs : 0,
          .num_edits = limits.logits_work.entries,
          .mask_rows = limits.logits_work.masks > 0 ? seqs : 0,
          .num_masks = limits.logits_work.masks,
          .said_rows = limits.logits_work.entries > 0 ? seqs : 0,
          .num_said = limits.logits_work.entries,
          .num_host = limits.logits_work.host_rows,
          .vocab = limits.vocab_size};
}

// One token a sequence, one sample a token; always with a place for pending tokens, so that there is one
// graph.
StepShape bucket_shape(int bucket, const InputBatchLimits& limits) {
  return {.num_tokens = bucket,
          .num_seqs = bucket,
          .max_blocks = limits.max_blocks_per_seq,
          .num_logits = bucket,
          .num_sampled = bucket,
          .num_sources = bucket};
}

// The work of those that are sampled on the device.
void count_work(const StepPlan& plan, StepShape& shape) {
  for (const ScheduledSeq& seq : plan.seqs) {
    if (seq.work < 0) continue;
    const LogitsWork& work = plan.work.rows[static_cast<size_t>(seq.work)];
    if (work.host) continue;
    shape.num_edits += work.num_edits;
    shape.num_said += work.num_said;
    shape.num_masks += work.mask >= 0 ? 1 : 0;
  }
  shape.edit_rows = shape.num_edits > 0 ? shape.num_sampled : 0;
  shape.said_rows = shape.num_said > 0 ? shape.num_sampled : 0;
  shape.mask_rows = shape.num_masks > 0 ? shape.num_sampled : 0;
}

int num_blocks_of(const ScheduledSeq& seq, int block_size) {
  const int positions = seq.num_computed_tokens + seq.num_tokens;
  return (positions + block_size - 1) / block_size;
}

}  // namespace

Result<StepBlocks> StepBlocks::create(Backend& backend, const InputBatchLimits& limits) {
  StepBlocks blocks;
  StepTensors unused;
  ASSIGN_OR_RETURN(blocks.inputs, backend.allocate(cut_inputs(unused, largest_shape(limits), kNoMemory)));
  ASSIGN_OR_RETURN(blocks.outputs, backend.allocate(cut_outputs(unused, largest_shape(limits), kNoMemory)));
  return blocks;
}

Result<InputBatch> InputBatch::create(Backend& backend, const InputBatchLimits& limits,
                                      const StepBlocks& blocks) {
  InputBatch batch(backend, limits, blocks);
  ASSIGN_OR_RETURN(batch.staging_in_, backend.allocate_staging(blocks.inputs.size()));
  ASSIGN_OR_RETURN(batch.staging_out_, backend.allocate_staging(blocks.outputs.size()));
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
  step.previous_tokens = step.out_tokens;
  return step;
}

void InputBatch::collect_rows(const StepPlan& plan, int vocab_size) {
  sampled_.clear();
  with_logprobs_.clear();
  prompt_.clear();
  host_rows_.clear();
  ids_.clear();
  for (size_t s = 0; s < plan.seqs.size(); ++s) {
    const ScheduledSeq& seq = plan.seqs[s];
    ids_.push_back(seq.id);
    const int index = static_cast<int>(s);
    const int prompt_top = std::max(std::min(seq.prompt_logprobs, vocab_size), 0);
    int row = seq.first_token + seq.first_target_row;
    for (const TokenId target : plan.targets(seq)) prompt_.push_back({index, row++, target, prompt_top});
    if (!seq.sample) continue;
    const int top = std::min(seq.logprobs, vocab_size);
    const bool on_host = seq.work >= 0 && plan.work.rows[static_cast<size_t>(seq.work)].host;
    std::vector<LogitsRow>& rows = on_host ? host_rows_ : top >= 0 ? with_logprobs_ : sampled_;
    rows.push_back({index, seq.first_token + seq.num_tokens - 1, 0, top});
  }
  sampled_.insert(sampled_.end(), with_logprobs_.begin(), with_logprobs_.end());
}

void InputBatch::check(const StepPlan& plan, const KvCacheView& kv, int vocab_size) const {
  CHECK(!plan.seqs.empty() && static_cast<int>(plan.seqs.size()) <= limits_.max_num_seqs,
        "{} sequences of {}", plan.seqs.size(), limits_.max_num_seqs);
  int num_tokens = 0;
  for (const ScheduledSeq& seq : plan.seqs) {
    CHECK(seq.first_token == num_tokens, "tokens from {}, those before end at {}", seq.first_token,
          num_tokens);
    check_seq(plan, seq, kv, vocab_size);
    num_tokens += seq.num_tokens;
  }
  CHECK(limits_.logits_work.hold(plan.work), "{} edits, {} said tokens, {} masks, {} rows for the host",
        plan.work.edits.size(), plan.work.said.size(), plan.work.num_masks, plan.work.num_host);
  CHECK(num_tokens == plan.num_tokens && plan.token_ids.size() == static_cast<size_t>(num_tokens) &&
            num_tokens <= limits_.max_num_batched_tokens,
        "{} tokens, the plan says {}, at most {}", num_tokens, plan.num_tokens,
        limits_.max_num_batched_tokens);
}

void InputBatch::check_seq(const StepPlan& plan, const ScheduledSeq& seq, const KvCacheView& kv,
                           int vocab_size) const {
  const std::span<const TokenId> tokens = plan.tokens(seq);
  CHECK(seq.num_tokens > 0 && seq.first_target_row >= 0 &&
            seq.first_target_row + seq.num_targets <= seq.num_tokens,
        "{} tokens, {} targets from row {}", seq.num_tokens, seq.num_targets, seq.first_target_row);
  const int blocks = num_blocks_of(seq, kv.block_size);
  CHECK(seq.num_computed_tokens >= 0 && blocks <= limits_.max_blocks_per_seq && blocks <= seq.num_blocks,
        "{} blocks needed, {} in the table, at most {}", blocks, seq.num_blocks, limits_.max_blocks_per_seq);
  // A table is long and looked at in every step: first whether there is anything to complain about.
  const std::span<const int32_t> table = plan.blocks(seq).first(static_cast<size_t>(blocks));
  const auto num_others = static_cast<uint32_t>(kv.num_blocks - 1);
  bool outside = false;
  for (const int32_t block : table) outside |= static_cast<uint32_t>(block) - 1 >= num_others;
  if (outside)
    for (const int32_t block : table)
      CHECK(block > 0 && block < kv.num_blocks, "block {} of {}", block, kv.num_blocks);
  const auto known = [&](TokenId id) { return id >= 0 && id < vocab_size; };
  const size_t num_known = tokens.size() - (tokens.back() == kPendingToken ? 1U : 0U);
  CHECK(std::all_of(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(num_known), known),
        "a token id outside the vocabulary");
  const std::span<const TokenId> targets = plan.targets(seq);
  CHECK(std::all_of(targets.begin(), targets.end(), known), "a target outside the vocabulary");
  CHECK(std::max(seq.logprobs, seq.prompt_logprobs) <= kMaxLogprobs, "{} and {} top log-probabilities",
        seq.logprobs, seq.prompt_logprobs);
}

void InputBatch::fill_tokens(const StepPlan& plan, int block_size) const {
  const BatchView& b = host_.batch;
  std::copy(plan.token_ids.begin(), plan.token_ids.end(), static_cast<int32_t*>(b.token_ids.data));
  auto* positions = static_cast<int32_t*>(b.positions.data);
  auto* slots = static_cast<int32_t*>(b.slot_mapping.data);
  auto* query_start = static_cast<int32_t*>(b.query_start.data);
  auto* context_len = static_cast<int32_t*>(b.context_len.data);
  int row = 0;
  for (size_t s = 0; s < plan.seqs.size(); ++s) {
    const ScheduledSeq& seq = plan.seqs[s];
    const std::span<const int32_t> block_ids = plan.blocks(seq);
    query_start[s] = row;
    int position = seq.num_computed_tokens;
    for (int i = 0; i < seq.num_tokens; ++i, ++row, ++position) {
      positions[row] = position;
      slots[row] = block_ids[static_cast<size_t>(position / block_size)] * block_size + position % block_size;
    }
    context_len[s] = position;
    auto* table = b.block_table.row<int32_t>(static_cast<int64_t>(s));
    const int blocks = num_blocks_of(seq, block_size);
    std::copy_n(block_ids.begin(), blocks, table);
    // What stands behind is never read; a bucket's row is as long as the longest sequence there can be.
    std::fill(table + blocks, table + std::min<int64_t>(blocks + 1, b.block_table.cols), 0);
  }
  query_start[plan.seqs.size()] = row;
}

// Where in `previous` each pending token will be; the host's copy of the id is then never looked at.
void InputBatch::fill_sources(const StepPlan& plan, const InputBatch* previous) const {
  if (num_pending_ == 0) return;
  CHECK(previous != nullptr, "{} tokens are pending, no step runs", num_pending_);
  auto* sources = static_cast<int32_t*>(host_.source_rows.data);
  std::fill_n(sources, plan.num_tokens, -1);
  size_t hint = 0;
  for (const ScheduledSeq& seq : plan.seqs) {
    const int last = seq.first_token + seq.num_tokens - 1;
    if (plan.token_ids[static_cast<size_t>(last)] == kPendingToken)
      sources[last] = previous->sampled_row(seq.id, hint);
  }
}

// Two plans in a row have most sequences in common and in one order, so the search begins at `hint`.
int InputBatch::sampled_row(RequestId id, size_t& hint) const {
  for (size_t k = 0; k < sampled_.size(); ++k) {
    const size_t row = (hint + k) % sampled_.size();
    if (ids_[static_cast<size_t>(sampled_[row].seq)] != id) continue;
    hint = row + 1;
    return static_cast<int>(row);
  }
  CHECK(false, "the token of request {} is pending, the step before does not sample it", id.value);
}

void InputBatch::fill_rows(const StepPlan& plan) const {
  auto* logits_rows = static_cast<int32_t*>(host_.batch.logits_rows.data);
  auto* targets = static_cast<int32_t*>(host_.targets.data);
  for (size_t i = 0; i < sampled_.size(); ++i) {
    const ScheduledSeq& seq = plan.seqs[static_cast<size_t>(sampled_[i].seq)];
    logits_rows[i] = sampled_[i].row;
    static_cast<float*>(host_.sampler.temperature.data)[i] = seq.temperature;
    static_cast<int32_t*>(host_.sampler.top_k.data)[i] = seq.top_k;
    static_cast<float*>(host_.sampler.top_p.data)[i] = seq.top_p;
    static_cast<float*>(host_.sampler.min_p.data)[i] = seq.min_p;
    static_cast<int64_t*>(host_.sampler.seed.data)[i] = static_cast<int64_t>(seq.seed);
    static_cast<int64_t*>(host_.sampler.position.data)[i] = seq.num_computed_tokens + int64_t{seq.num_tokens};
  }
  for (size_t i = 0; i < prompt_.size(); ++i) {
    logits_rows[sampled_.size() + i] = prompt_[i].row;
    targets[i] = prompt_[i].target;
  }
  for (size_t i = 0; i < host_rows_.size(); ++i) {
    logits_rows[sampled_.size() + prompt_.size() + i] = host_rows_[i].row;
    static_cast<int32_t*>(host_.host_rows.data)[i] = static_cast<int32_t>(i);
  }
}

// Of the sampled rows, row by row.
void InputBatch::fill_work(const StepPlan& plan) const {
  const LogitEditsView& edits = host_.edits;
  const PenaltyView& said = host_.penalties;
  int num_edits = 0;
  int num_said = 0;
  int num_masks = 0;
  static constexpr LogitsWork kNone;
  for (size_t i = 0; i < sampled_.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const int index = plan.seqs[static_cast<size_t>(sampled_[i].seq)].work;
    const LogitsWork& work = index < 0 ? kNone : plan.work.rows[static_cast<size_t>(index)];
    if (edits.begin.rows > 0) *edits.begin.row<int32_t>(row) = num_edits;
    for (int e = work.first_edit; e < work.first_edit + work.num_edits; ++e, ++num_edits) {
      *edits.ids.row<int32_t>(num_edits) = plan.work.edits[static_cast<size_t>(e)].token;
      *edits.adds.row<float>(num_edits) = plan.work.edits[static_cast<size_t>(e)].add;
    }
    if (host_.masks.index.rows > 0) *host_.masks.index.row<int32_t>(row) = work.mask < 0 ? -1 : num_masks;
    if (work.mask >= 0) {
      const int64_t words = host_.masks.words.cols;
      std::copy_n(plan.work.masks.begin() + work.mask * words, words,
                  host_.masks.words.row<uint32_t>(num_masks++));
    }
    if (said.begin.rows == 0) continue;
    *said.begin.row<int32_t>(row) = num_said;
    *said.repetition.row<float>(row) = work.repetition;
    *said.presence.row<float>(row) = work.presence;
    *said.frequency.row<float>(row) = work.frequency;
    for (int s = work.first_said; s < work.first_said + work.num_said; ++s, ++num_said) {
      *said.ids.row<int32_t>(num_said) = plan.work.said[static_cast<size_t>(s)].token;
      *said.counts.row<int32_t>(num_said) = plan.work.said[static_cast<size_t>(s)].count;
    }
  }
  const auto end = static_cast<int64_t>(sampled_.size());
  if (edits.begin.rows > 0) *edits.begin.row<int32_t>(end) = num_edits;
  if (said.begin.rows > 0) *said.begin.row<int32_t>(end) = num_said;
}

// The plan is not there any more when their logits have come down.
void InputBatch::keep_host_work(const StepPlan& plan) {
  host_work_.clear();
  if (host_rows_.empty()) return;
  work_ = plan.work;
  for (const LogitsRow& row : host_rows_) {
    const ScheduledSeq& seq = plan.seqs[static_cast<size_t>(row.seq)];
    host_work_.push_back(
        {.params = {.temperature = seq.temperature,
                    .top_k = seq.top_k,
                    .top_p = seq.top_p,
                    .min_p = seq.min_p,
                    .seed = seq.seed,
                    .position = static_cast<uint64_t>(seq.num_computed_tokens + seq.num_tokens)},
         .work = plan.work.rows[static_cast<size_t>(seq.work)]});
  }
}

bool InputBatch::fits_a_bucket(const StepPlan& plan) {
  const auto fits = [](const ScheduledSeq& seq) {
    return seq.num_tokens == 1 && seq.sample && seq.logprobs < 0 && seq.num_targets == 0 && seq.work < 0;
  };
  return std::all_of(plan.seqs.begin(), plan.seqs.end(), fits);
}

StepTensors InputBatch::bucket_tensors(int bucket, const KvCacheView& kv) const {
  const StepShape shape = bucket_shape(bucket, limits_);
  StepTensors step;
  cut_inputs(step, shape, device_in_.data());
  cut_outputs(step, shape, device_out_.data());
  step.num_sampled = bucket;
  step.batch.num_tokens = step.batch.num_seqs = bucket;
  step.batch.max_query_len = 1;
  step.batch.max_context_len = shape.max_blocks * kv.block_size;
  step.batch.kv = kv;
  step.previous_tokens = Tensor::of(device_out_.data(), DType::kI32, limits_.max_num_seqs, 1);
  return step;
}

// Rows beyond the plan's: they write into the null block, each to a place of its own as far as there are
// some, read its position 0, and nobody looks at their tokens.
void InputBatch::fill_padding(const StepPlan& plan) const {
  const auto begin = static_cast<int64_t>(plan.seqs.size());
  const auto fill = [&](const Tensor& t, auto value) {
    using T = decltype(value);
    std::fill(static_cast<T*>(t.data) + begin, static_cast<T*>(t.data) + t.rows, value);
  };
  const BatchView& b = host_.batch;
  fill(b.token_ids, int32_t{0});
  fill(b.positions, int32_t{0});
  fill(b.context_len, int32_t{1});
  for (int64_t s = begin; s < b.num_seqs; ++s) {
    *b.block_table.row<int32_t>(s) = 0;
    static_cast<int32_t*>(b.slot_mapping.data)[s] = static_cast<int32_t>(s % b.kv.block_size);
    static_cast<int32_t*>(b.logits_rows.data)[s] = static_cast<int32_t>(s);
    static_cast<int32_t*>(b.query_start.data)[s + 1] = static_cast<int32_t>(s + 1);
  }
  fill(host_.sampler.temperature, 0.0F);
  fill(host_.sampler.top_k, int32_t{0});
  fill(host_.sampler.top_p, 1.0F);
  fill(host_.sampler.min_p, 0.0F);
  fill(host_.sampler.seed, int64_t{0});
  fill(host_.sampler.position, int64_t{0});
  if (num_pending_ == 0) {
    std::fill_n(static_cast<int32_t*>(host_.source_rows.data), host_.source_rows.rows, -1);
  } else {
    fill(host_.source_rows, int32_t{-1});
  }
}

StepTensors InputBatch::stage(const StepPlan& plan, const KvCacheView& kv, int vocab_size,
                              const InputBatch* previous, int bucket) {
  check(plan, kv, vocab_size);
  collect_rows(plan, vocab_size);
  keep_host_work(plan);
  num_pending_ = static_cast<int>(std::count(plan.token_ids.begin(), plan.token_ids.end(), kPendingToken));
  if (bucket > 0) return stage_bucket(plan, kv, previous, bucket);
  StepShape shape{.num_tokens = plan.num_tokens,
                  .num_seqs = static_cast<int>(plan.seqs.size()),
                  .num_logits = static_cast<int>(num_rows()),
                  .num_sampled = static_cast<int>(sampled_.size()),
                  .num_logprobs = static_cast<int>(with_logprobs_.size() + prompt_.size()),
                  .num_sources = num_pending_ > 0 ? plan.num_tokens : 0,
                  .num_host = static_cast<int>(host_rows_.size()),
                  .vocab = vocab_size};
  if (!plan.work.empty()) count_work(plan, shape);
  StepTensors step;
  for (const ScheduledSeq& seq : plan.seqs) {
    step.batch.max_query_len = std::max(step.batch.max_query_len, seq.num_tokens);
    step.batch.max_context_len =
        std::max(step.batch.max_context_len, seq.num_computed_tokens + seq.num_tokens);
    shape.max_blocks = std::max(shape.max_blocks, num_blocks_of(seq, kv.block_size));
  }
  for (const auto* group : {&with_logprobs_, &prompt_})
    for (const LogitsRow& row : *group) shape.top_n = std::max(shape.top_n, row.logprobs);
  step.batch.num_tokens = shape.num_tokens;
  step.batch.num_seqs = shape.num_seqs;
  step.batch.kv = kv;
  step.num_sampled = shape.num_sampled;
  step.num_sampled_logprobs = static_cast<int>(with_logprobs_.size());
  step.top_n = shape.top_n;

  host_ = device_ = step;
  in_bytes_ = cut_inputs(host_, shape, staging_in_.data());
  out_bytes_ = cut_outputs(host_, shape, staging_out_.data());
  fill_tokens(plan, kv.block_size);
  fill_sources(plan, previous);
  fill_rows(plan);
  if (!plan.work.empty()) fill_work(plan);
  cut_inputs(device_, shape, device_in_.data());
  cut_outputs(device_, shape, device_out_.data());
  if (num_pending_ > 0) device_.previous_tokens = previous->device_.out_tokens;
  return device_;
}

StepTensors InputBatch::stage_bucket(const StepPlan& plan, const KvCacheView& kv, const InputBatch* previous,
                                     int bucket) {
  CHECK(fits_a_bucket(plan) && static_cast<int>(plan.seqs.size()) <= bucket, "{} sequences in a bucket of {}",
        plan.seqs.size(), bucket);
  const StepShape shape = bucket_shape(bucket, limits_);
  host_ = device_ = bucket_tensors(bucket, kv);
  in_bytes_ = cut_inputs(host_, shape, staging_in_.data());
  out_bytes_ = cut_outputs(host_, shape, staging_out_.data());
  fill_tokens(plan, kv.block_size);
  fill_sources(plan, previous);
  fill_rows(plan);
  fill_padding(plan);
  return device_;
}

void InputBatch::upload() {
  backend_->upload(staging_in_.bytes().first(in_bytes_), device_in_.first(in_bytes_));
}

void InputBatch::fetch() {
  if (out_bytes_ > 0)
    backend_->download(device_out_.first(out_bytes_), staging_out_.bytes().first(out_bytes_));
}

PositionLogprobs InputBatch::logprobs_at(int64_t out_row, TokenId chosen, int top_n) const {
  PositionLogprobs out;
  out.chosen = {chosen, *host_.out_logprobs.row<float>(out_row)};
  out.top.reserve(static_cast<size_t>(std::max(top_n, 0)));
  for (int i = 0; i < top_n; ++i)
    out.top.push_back(
        {host_.out_top_ids.row<int32_t>(out_row)[i], host_.out_top_logprobs.row<float>(out_row)[i]});
  return out;
}

void InputBatch::sample_on_host(const LogitsRow& row, int64_t host_row, SeqResult& result) {
  const Tensor& all = host_.out_host_logits;
  const std::span<const float> logits(all.row<float>(host_row), static_cast<size_t>(all.cols));
  const HostWork& work = host_work_[static_cast<size_t>(host_row)];
  const HostSample sample = host_sampler_.sample(logits, work.params, work.work, work_);
  result.tokens.push_back(sample.token);
  result.mirostat_mu = sample.mirostat_mu;
  if (row.logprobs >= 0) result.logprobs.push_back(host_logprobs(logits, sample.token, row.logprobs));
}

void InputBatch::results(StepResult& result) {
  result.seqs.resize(ids_.size());
  for (size_t i = 0; i < ids_.size(); ++i) {
    SeqResult& seq = result.seqs[i];
    seq.id = ids_[i];
    seq.tokens = StepTokens();
    seq.logprobs.clear();
    seq.prompt_logprobs.clear();
  }
  int64_t out_row = 0;
  for (size_t i = 0; i < sampled_.size(); ++i) {
    const LogitsRow& row = sampled_[i];
    SeqResult& seq = result.seqs[static_cast<size_t>(row.seq)];
    const TokenId token = *host_.out_tokens.row<int32_t>(static_cast<int64_t>(i));
    seq.tokens.push_back(token);
    if (row.logprobs >= 0) seq.logprobs.push_back(logprobs_at(out_row++, token, row.logprobs));
  }
  for (const LogitsRow& row : prompt_)
    result.seqs[static_cast<size_t>(row.seq)].prompt_logprobs.push_back(
        logprobs_at(out_row++, row.target, row.logprobs));
  for (size_t i = 0; i < host_rows_.size(); ++i)
    sample_on_host(host_rows_[i], static_cast<int64_t>(i),
                   result.seqs[static_cast<size_t>(host_rows_[i].seq)]);
}

}  // namespace pegainfer
