// Each call's contract, broken once in each way: the op and the values are printed.
#include "backend/check/checked_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <list>
#include <vector>

#include "backend/null/null_backend.h"

namespace pegainfer {
namespace {

// Arguments of every op, valid as they stand.
class Calls {
 public:
  static constexpr int64_t kTokens = 4;

  Tensor make(DType dtype, int64_t rows, int64_t cols) {
    memory_.emplace_back(static_cast<size_t>(rows * cols) * size_of(dtype) / sizeof(int64_t) + 8);
    return Tensor::of(memory_.back().data(), dtype, rows, cols);
  }
  Tensor column(std::initializer_list<int32_t> values) {
    const Tensor t = make(DType::kI32, static_cast<int64_t>(values.size()), 1);
    int64_t r = 0;
    for (const int32_t value : values) *t.row<int32_t>(r++) = value;
    return t;
  }

 private:
  std::list<std::vector<int64_t>> memory_;

 public:
  Tensor x = make(DType::kBF16, kTokens, 32);
  Tensor delta = make(DType::kBF16, kTokens, 32);
  Tensor out = make(DType::kBF16, kTokens, 32);
  Tensor norm = make(DType::kF32, 1, 32);
  float eps = 1e-5F;

  Tensor packed = make(DType::kF32, 48, 32);
  Weight weight{.parts = {WeightPart{WeightFormat::kF32, 48, 32, static_cast<std::byte*>(packed.data)}},
                .num_parts = 1};
  Tensor ids = column({0, 47, 3, 3});
  Tensor sampled = column({5, -1});
  Tensor sources = column({-1, 1, -1, 0});
  Tensor wide = make(DType::kBF16, kTokens, 48);

  Tensor positions = column({0, 1, 2, 900});
  Tensor inv_freq = make(DType::kF32, 1, 4);
  Tensor table = make(DType::kF32, kTokens, 8);
  DType round_to = DType::kBF16;

  Tensor qkv = make(DType::kBF16, kTokens, 32);  // 2 heads, 1 KV head of 8
  Tensor q = qkv.slice_cols(0, 16);
  Tensor k = qkv.slice_cols(16, 8);
  Tensor v = qkv.slice_cols(24, 8);
  Tensor head_norm = make(DType::kF32, 1, 8);
  int head_dim = 8;
  int layer = 1;
  AttentionParams attention{.layer = 1, .num_heads = 2, .num_kv_heads = 1, .head_dim = 8, .scale = 0.5F};
  Tensor attended = make(DType::kBF16, kTokens, 16);
  Tensor cache = make(DType::kBF16, 2 * 5 * 2 * 16, 8);
  BatchView batch{.num_tokens = 4,
                  .num_seqs = 2,
                  .max_query_len = 3,
                  .max_context_len = 20,
                  .slot_mapping = column({17, 18, 19, 79}),
                  .query_start = column({0, 3, 4}),
                  .context_len = column({20, 1}),
                  .block_table = block_table(),
                  .kv = {.data = static_cast<std::byte*>(cache.data),
                         .dtype = DType::kBF16,
                         .num_layers = 2,
                         .num_blocks = 5,
                         .block_size = 16,
                         .num_kv_heads = 1,
                         .head_dim = 8}};

  Tensor logits = make(DType::kF32, 2, 30);
  SamplerView sampler{ones(DType::kF32), ones(DType::kI32), ones(DType::kF32),
                      ones(DType::kF32), ones(DType::kI64), ones(DType::kI64)};
  Tensor tokens = make(DType::kI32, 2, 1);
  Tensor logprobs = make(DType::kF32, 2, 1);
  int top_n = 3;
  Tensor top_ids = make(DType::kI32, 2, 3);
  Tensor top_logprobs = make(DType::kF32, 2, 3);

  Tensor block_table() {
    const Tensor t = make(DType::kI32, 2, 2);
    t.row<int32_t>(0)[0] = 4;
    t.row<int32_t>(0)[1] = 1;
    t.row<int32_t>(1)[0] = 2;
    t.row<int32_t>(1)[1] = -7;  // not needed, so not looked at
    return t;
  }
  Tensor ones(DType dtype) {
    const Tensor t = make(dtype, 2, 1);
    for (int64_t r = 0; r < 2; ++r) {
      if (dtype == DType::kF32) *t.row<float>(r) = 1;
      if (dtype == DType::kI32) *t.row<int32_t>(r) = 1;
      if (dtype == DType::kI64) *t.row<int64_t>(r) = 1;
    }
    return t;
  }
};

using Change = std::function<void(Calls&)>;
using Call = std::function<void(Ops&, Calls&)>;

void run(const Call& call, const Change& change) {
  NullBackend backend;
  CheckedOps ops(backend.ops());
  Calls calls;
  change(calls);
  call(ops, calls);
}

struct Violation {
  const char* message;
  Change change;
};

void expect_violations(const Call& call, const std::vector<Violation>& violations) {
  run(call, [](Calls&) {});  // valid as it stands
  for (const Violation& violation : violations) EXPECT_DEATH(run(call, violation.change), violation.message);
}

TEST(CheckedOpsDeathTest, TakeTokens) {
  expect_violations(
      [](Ops& o, Calls& c) { o.take_tokens(c.sampled, c.sources, c.ids); },
      {{"take_tokens: rows.3. is 2, outside of .-1, 2.", [](Calls& c) { *c.sources.row<int32_t>(3) = 2; }},
       {"rows.0. is -2", [](Calls& c) { *c.sources.row<int32_t>(0) = -2; }},
       {"token_ids is .4, 1., expected .3, 1.", [](Calls& c) { c.sources.rows = 3; }},
       {"tokens is int64", [](Calls& c) { c.sampled.dtype = DType::kI64; }},
       {"token_ids overlaps tokens", [](Calls& c) { c.sampled.data = c.ids.data; }},
       {"token_ids overlaps rows", [](Calls& c) { c.ids = c.sources; }}});
}

TEST(CheckedOpsDeathTest, Embedding) {
  expect_violations(
      [](Ops& o, Calls& c) { o.embedding(c.weight, c.ids, c.out); },
      {{"embedding: token_ids.1. is 48, outside of .0, 48.", [](Calls& c) { *c.ids.row<int32_t>(1) = 48; }},
       {"embedding: token_ids.0. is -1", [](Calls& c) { *c.ids.row<int32_t>(0) = -1; }},
       {"out is int32", [](Calls& c) { c.out.dtype = DType::kI32; }},
       {"token_ids is int64", [](Calls& c) { c.ids.dtype = DType::kI64; }},
       {"out is .4, 31., expected .4, 32.", [](Calls& c) { c.out.cols = 31; }},
       {"token_ids is .3, 1., expected .4, 1.", [](Calls& c) { c.ids.rows = 3; }},
       {"table has 0 parts", [](Calls& c) { c.weight.num_parts = 0; }},
       {"without memory", [](Calls& c) { c.weight.parts[0].data = nullptr; }}});
}

TEST(CheckedOpsDeathTest, Norms) {
  expect_violations(
      [](Ops& o, Calls& c) { o.rms_norm(c.x, c.norm, c.eps, c.out); },
      {{"rms_norm: out is .3, 32.", [](Calls& c) { c.out.rows = 3; }},
       {"out is float32, expected bfloat16", [](Calls& c) { c.out = c.make(DType::kF32, 4, 32); }},
       {"weight is bfloat16", [](Calls& c) { c.norm.dtype = DType::kBF16; }},
       {"weight is .1, 16.", [](Calls& c) { c.norm.cols = 16; }},
       {"out overlaps x", [](Calls& c) { c.out.data = c.x.row<uint16_t>(1); }},
       {"eps is nan", [](Calls& c) { c.eps = NAN; }},
       {"x has no memory", [](Calls& c) { c.x.data = nullptr; }},
       {"rows of 32 columns 31 apart", [](Calls& c) { c.x.row_stride = 31; }}});
  run([](Ops& o, Calls& c) { o.rms_norm(c.x, c.norm, c.eps, c.x); }, [](Calls&) {});  // in place is allowed
  expect_violations([](Ops& o, Calls& c) { o.add(c.x, c.delta); },
                    {{"add: x overlaps delta", [](Calls& c) { c.delta = c.x; }},
                     {"delta is .4, 16.", [](Calls& c) { c.delta.cols = 16; }},
                     {"delta is float32", [](Calls& c) { c.delta = c.make(DType::kF32, 4, 32); }}});
  // A fused group is checked op by op.
  expect_violations([](Ops& o, Calls& c) { o.norm_linear(c.x, c.norm, c.eps, c.weight, c.out, c.wide); },
                    {{"rms_norm: out is .4, 16.", [](Calls& c) { c.out.cols = 16; }},
                     {"linear: out is .4, 40., expected .4, 48.", [](Calls& c) { c.wide.cols = 40; }}});
}

TEST(CheckedOpsDeathTest, Linear) {
  expect_violations([](Ops& o, Calls& c) { o.linear(c.x, c.weight, c.wide); },
                    {{"linear: x is .4, 16., expected .4, 32.", [](Calls& c) { c.x.cols = 16; }},
                     {"out is .4, 40., expected .4, 48.", [](Calls& c) { c.wide.cols = 40; }},
                     {"bias is .1, 8., expected .1, 48.", [](Calls& c) { c.weight.bias = c.head_norm; }},
                     {"part 1 of w is", [](Calls& c) { c.weight.num_parts = 2; }},
                     {"out is bfloat16, x is float32", [](Calls& c) { c.x = c.make(DType::kF32, 4, 32); }},
                     {"out overlaps x", [](Calls& c) { c.wide.data = c.x.data; }}});
}

TEST(CheckedOpsDeathTest, Rope) {
  expect_violations([](Ops& o, Calls& c) { o.rope_table(c.positions, c.inv_freq, 1, c.round_to, c.table); },
                    {{"rope_table: positions.2. is -5", [](Calls& c) { *c.positions.row<int32_t>(2) = -5; }},
                     {"inv_freq is .1, 3., expected .1, 4.", [](Calls& c) { c.inv_freq.cols = 3; }},
                     {"out has 7 columns", [](Calls& c) { c.table.cols = 7; }},
                     {"round_to is int32", [](Calls& c) { c.round_to = DType::kI32; }},
                     {"out is bfloat16", [](Calls& c) { c.table.dtype = DType::kBF16; }}});
  expect_violations(
      [](Ops& o, Calls& c) {
        o.qk_norm_rope(c.q, c.k, c.head_dim, c.head_norm, c.head_norm, c.eps, c.table);
      },
      {{"qk_norm_rope: q overlaps k", [](Calls& c) { c.k = c.qkv.slice_cols(8, 16); }},
       {"rotary_dim is 8, head_dim 4", [](Calls& c) { c.head_dim = 4, c.head_norm.cols = 4; }},
       {"head_dim is 7", [](Calls& c) { c.head_dim = 7; }},
       {"q has 12 columns, head_dim is 8", [](Calls& c) { c.q.cols = 12; }},
       {"q_norm is .1, 6., expected .1, 8.", [](Calls& c) { c.head_norm.cols = 6; }},
       {"table is .3, 8., expected .4, 8.", [](Calls& c) { c.table.rows = 3; }},
       {"k is .3, 8.", [](Calls& c) { c.k.rows = 3; }}});
}

TEST(CheckedOpsDeathTest, StoreKv) {
  expect_violations([](Ops& o, Calls& c) { o.store_kv(c.k, c.v, c.layer, c.batch); },
                    {{"store_kv: slot_mapping.3. is 80, outside of .0, 80.",
                      [](Calls& c) { *c.batch.slot_mapping.row<int32_t>(3) = 80; }},
                     {"slot_mapping.0. is -1", [](Calls& c) { *c.batch.slot_mapping.row<int32_t>(0) = -1; }},
                     {"layer 2 of 2", [](Calls& c) { c.layer = 2; }},
                     {"k is .4, 8., expected .4, 16.", [](Calls& c) { c.batch.kv.num_kv_heads = 2; }},
                     {"v is float32", [](Calls& c) { c.v = c.make(DType::kF32, 4, 8); }},
                     {"block_size 24 is no multiple of 16", [](Calls& c) { c.batch.kv.block_size = 24; }},
                     {"the KV cache is int32", [](Calls& c) { c.batch.kv.dtype = DType::kI32; }},
                     {"the KV cache has no memory", [](Calls& c) { c.batch.kv.data = nullptr; }}});
}

TEST(CheckedOpsDeathTest, PagedAttention) {
  expect_violations(
      [](Ops& o, Calls& c) { o.paged_attention(c.q, c.attention, c.batch, c.attended); },
      {{"paged_attention: block_table.0..1. is 5, outside of .0, 5.",
        [](Calls& c) { c.batch.block_table.row<int32_t>(0)[1] = 5; }},
       {"sequence 0 needs 2 blocks, block_table has 1", [](Calls& c) { c.batch.block_table.cols = 1; }},
       {"query_start begins with 1", [](Calls& c) { *c.batch.query_start.row<int32_t>(0) = 1; }},
       {"query_start ends with 3, there are 4", [](Calls& c) { *c.batch.query_start.row<int32_t>(2) = 3; }},
       {"sequence 0 has 3 query tokens, max_query_len is 2", [](Calls& c) { c.batch.max_query_len = 2; }},
       {"sequence 0 has a context of 20 .* max_context_len is 19",
        [](Calls& c) { c.batch.max_context_len = 19; }},
       {"sequence 1 has a context of 0", [](Calls& c) { *c.batch.context_len.row<int32_t>(1) = 0; }},
       {"context_len is .1, 1.", [](Calls& c) { c.batch.context_len.rows = 1; }},
       {"3 heads over 2 KV heads|KV heads of 8, the cache has",
        [](Calls& c) { c.attention.num_kv_heads = 2; }},
       {"q is .4, 16., expected .4, 24.", [](Calls& c) { c.attention.num_heads = 3; }},
       {"scale is 0", [](Calls& c) { c.attention.scale = 0; }},
       {"window is -1", [](Calls& c) { c.attention.window = -1; }},
       {"layer -1 of 2", [](Calls& c) { c.attention.layer = -1; }},
       {"out overlaps q", [](Calls& c) { c.attended = c.q; }},
       {"out is float32", [](Calls& c) { c.attended = c.make(DType::kF32, 4, 16); }}});
  // A block that a sliding window has left behind may be gone.
  run([](Ops& o, Calls& c) { o.paged_attention(c.q, c.attention, c.batch, c.attended); },
      [](Calls& c) {
        c.attention.window = 2;
        c.batch.block_table.row<int32_t>(0)[0] = -1;
      });
}

TEST(CheckedOpsDeathTest, SiluMulAndGatherRows) {
  expect_violations(
      [](Ops& o, Calls& c) { o.silu_mul(c.x, c.attended); },
      {{"silu_mul: gate_up is .4, 32., expected .4, 30.", [](Calls& c) { c.attended.cols = 15; }},
       {"out overlaps gate_up", [](Calls& c) { c.attended.data = c.x.data; }},
       {"out is float32", [](Calls& c) { c.attended = c.make(DType::kF32, 4, 16); }}});
  expect_violations(
      [](Ops& o, Calls& c) { o.gather_rows(c.x, c.positions.slice_rows(0, 3), c.out.slice_rows(0, 3)); },
      {{"gather_rows: indices.1. is 4, outside of .0, 4.",
        [](Calls& c) { *c.positions.row<int32_t>(1) = 4; }},
       {"out is .3, 31.", [](Calls& c) { c.out.cols = 31; }},
       {"out overlaps x", [](Calls& c) { c.out.data = c.x.data; }}});
}

TEST(CheckedOpsDeathTest, Sample) {
  expect_violations(
      [](Ops& o, Calls& c) { o.sample(c.logits, c.sampler, c.tokens); },
      {{"sample: temperature.1. is -1", [](Calls& c) { *c.sampler.temperature.row<float>(1) = -1; }},
       {"top_k.0. is -2", [](Calls& c) { *c.sampler.top_k.row<int32_t>(0) = -2; }},
       {"top_p.0. is 0", [](Calls& c) { *c.sampler.top_p.row<float>(0) = 0; }},
       {"min_p.1. is 1.5", [](Calls& c) { *c.sampler.min_p.row<float>(1) = 1.5F; }},
       {"logits is bfloat16", [](Calls& c) { c.logits.dtype = DType::kBF16; }},
       {"seed is .1, 1., expected .2, 1.", [](Calls& c) { c.sampler.seed.rows = 1; }},
       {"position is int32", [](Calls& c) { c.sampler.position.dtype = DType::kI32; }},
       {"out_tokens overlaps logits", [](Calls& c) { c.tokens.data = c.logits.data; }}});
}

TEST(CheckedOpsDeathTest, Logprobs) {
  expect_violations(
      [](Ops& o, Calls& c) {
        o.logprobs(c.logits, c.tokens, c.top_n, c.logprobs, c.top_ids, c.top_logprobs);
      },
      {{"logprobs: targets.1. is 30, outside of .-1, 30.", [](Calls& c) { *c.tokens.row<int32_t>(1) = 30; }},
       {"top_n is 31, the vocabulary 30", [](Calls& c) { c.top_n = 31; }},
       {"out_top_ids is .2, 3., expected .2, 2.", [](Calls& c) { c.top_n = 2; }},
       {"out_top_logprobs is int32", [](Calls& c) { c.top_logprobs.dtype = DType::kI32; }},
       {"out_top_ids overlaps out_top_logprobs", [](Calls& c) { c.top_ids.data = c.top_logprobs.data; }},
       {"out_logprobs overlaps targets", [](Calls& c) { c.logprobs.data = c.tokens.data; }}});
  run([](Ops& o, Calls& c) { o.logprobs(c.logits, c.tokens, 0, c.logprobs, {}, {}); }, [](Calls&) {});
}

}  // namespace
}  // namespace pegainfer
