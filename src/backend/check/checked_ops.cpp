#include "backend/check/checked_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/check.h"

namespace pegainfer {
namespace {

// Bytes from the first to the last element.
struct Extent {
  uintptr_t begin;
  uintptr_t end;
};

Extent extent_of(const Tensor& t) {
  const auto begin = reinterpret_cast<uintptr_t>(t.data);
  const auto elements = static_cast<uintptr_t>((t.rows - 1) * t.row_stride + t.cols);
  return {begin, begin + elements * size_of(t.dtype)};
}

// Overlap that matters: column slices of one matrix interleave without touching.
bool overlap(const Tensor& a, const Tensor& b) {
  if (a.rows == 0 || b.rows == 0 || a.cols == 0 || b.cols == 0) return false;
  const Extent x = extent_of(a);
  const Extent y = extent_of(b);
  if (x.end <= y.begin || y.end <= x.begin) return false;
  const size_t stride = static_cast<size_t>(a.row_stride) * size_of(a.dtype);
  if (stride == 0 || stride != static_cast<size_t>(b.row_stride) * size_of(b.dtype)) return true;
  const size_t a_width = static_cast<size_t>(a.cols) * size_of(a.dtype);
  const size_t b_width = static_cast<size_t>(b.cols) * size_of(b.dtype);
  const size_t shift = (y.begin - x.begin) % stride;  // of b's rows against a's; wraps around as unsigned
  const size_t offset = x.begin <= y.begin ? shift : (stride - (x.begin - y.begin) % stride) % stride;
  return offset < a_width || offset + b_width > stride;
}

bool same_place(const Tensor& a, const Tensor& b) {
  return a.data == b.data && a.row_stride == b.row_stride && a.rows == b.rows && a.cols == b.cols;
}

// One op's checks; its name is in every message.
class Check {
 public:
  explicit Check(std::string_view op) : op_(op) {}

  void shape(std::string_view name, const Tensor& t, int64_t rows, int64_t cols) const {
    CHECK(t.rows == rows && t.cols == cols, "{}: {} is [{}, {}], expected [{}, {}]", op_, name, t.rows,
          t.cols, rows, cols);
    CHECK(rows == 0 || cols == 0 || t.data != nullptr, "{}: {} has no memory", op_, name);
    CHECK(rows <= 1 || t.row_stride >= cols, "{}: {} has rows of {} columns {} apart", op_, name, cols,
          t.row_stride);
    CHECK(reinterpret_cast<uintptr_t>(t.data) % std::max<size_t>(size_of(t.dtype), 1) == 0,
          "{}: {} is misaligned", op_, name);
  }
  void dtype(std::string_view name, const Tensor& t, DType expected) const {
    CHECK(t.dtype == expected, "{}: {} is {}, expected {}", op_, name, name_of(t.dtype), name_of(expected));
  }
  void typed(std::string_view name, const Tensor& t, DType expected, int64_t rows, int64_t cols) const {
    dtype(name, t, expected);
    shape(name, t, rows, cols);
  }
  void vector(std::string_view name, const Tensor& t, DType expected, int64_t rows) const {
    typed(name, t, expected, rows, 1);
  }
  void activation(std::string_view name, const Tensor& t) const {
    CHECK(t.dtype == DType::kBF16 || t.dtype == DType::kF32, "{}: {} is {}, expected bfloat16 or float32",
          op_, name, name_of(t.dtype));
    shape(name, t, t.rows, t.cols);
  }
  void apart(std::string_view a_name, const Tensor& a, std::string_view b_name, const Tensor& b) const {
    CHECK(!overlap(a, b), "{}: {} overlaps {}", op_, a_name, b_name);
  }
  // Every element of a column of I32 in [low, high).
  void indices(std::string_view name, const Tensor& t, int64_t low, int64_t high) const {
    for (int64_t r = 0; r < t.rows; ++r) {
      const int64_t value = *t.row<int32_t>(r);
      CHECK(value >= low && value < high, "{}: {}[{}] is {}, outside of [{}, {})", op_, name, r, value, low,
            high);
    }
  }
  template <class... Args>
  void that(bool ok, fmt::format_string<Args...> text, Args&&... args) const {
    if (!ok) CHECK(ok, "{}: {}", op_, fmt::format(text, std::forward<Args>(args)...));
  }

  void weight(std::string_view name, const Weight& w) const {
    that(w.num_parts >= 1 && w.num_parts <= Weight::kMaxParts, "{} has {} parts", name, w.num_parts);
    for (int i = 0; i < w.num_parts; ++i) {
      const WeightPart& part = w.parts.at(static_cast<size_t>(i));
      that(part.data != nullptr && part.rows > 0 && part.cols == w.cols() && part.cols > 0,
           "part {} of {} is [{}, {}]{}", i, name, part.rows, part.cols,
           part.data == nullptr ? " without memory" : "");
    }
  }

  void batch(const BatchView& b) const {
    that(b.num_tokens >= 0 && b.num_seqs >= 0, "{} tokens of {} sequences", b.num_tokens, b.num_seqs);
    vector("slot_mapping", b.slot_mapping, DType::kI32, b.num_tokens);
    vector("query_start", b.query_start, DType::kI32, b.num_seqs + 1);
    vector("context_len", b.context_len, DType::kI32, b.num_seqs);
    dtype("block_table", b.block_table, DType::kI32);
    shape("block_table", b.block_table, b.num_seqs, b.block_table.cols);
    const KvCacheView& kv = b.kv;
    that(kv.data != nullptr, "the KV cache has no memory");
    that(kv.dtype == DType::kBF16 || kv.dtype == DType::kF32, "the KV cache is {}", name_of(kv.dtype));
    that(kv.block_size > 0 && kv.block_size % 16 == 0, "block_size {} is no multiple of 16", kv.block_size);
    that(kv.num_blocks > 0 && kv.num_kv_heads > 0 && kv.head_dim > 0, "{} blocks, {} KV heads, head_dim {}",
         kv.num_blocks, kv.num_kv_heads, kv.head_dim);
  }

  // Each sequence's rows follow each other and lie in its context; its blocks lie in the cache.
  void sequences(const BatchView& b, int window) const {
    that(*b.query_start.row<int32_t>(0) == 0, "query_start begins with {}", *b.query_start.row<int32_t>(0));
    for (int s = 0; s < b.num_seqs; ++s) {
      const int tokens = *b.query_start.row<int32_t>(s + 1) - *b.query_start.row<int32_t>(s);
      const int context = *b.context_len.row<int32_t>(s);
      that(tokens >= 0 && tokens <= b.max_query_len, "sequence {} has {} query tokens, max_query_len is {}",
           s, tokens, b.max_query_len);
      that(context >= tokens && context <= b.max_context_len,
           "sequence {} has a context of {} with {} query tokens; max_context_len is {}", s, context, tokens,
           b.max_context_len);
      if (tokens > 0) blocks(b, s, context, window > 0 ? std::max(0, context - tokens + 1 - window) : 0);
    }
    that(*b.query_start.row<int32_t>(b.num_seqs) == b.num_tokens,
         "query_start ends with {}, there are {} tokens", *b.query_start.row<int32_t>(b.num_seqs),
         b.num_tokens);
  }

 private:
  void blocks(const BatchView& b, int s, int context, int first_seen) const {
    const int64_t needed = (context + b.kv.block_size - 1) / b.kv.block_size;
    that(needed <= b.block_table.cols, "sequence {} needs {} blocks, block_table has {} columns", s, needed,
         b.block_table.cols);
    for (int64_t i = first_seen / b.kv.block_size; i < needed; ++i) {
      const int block = b.block_table.row<int32_t>(s)[i];
      that(block >= 0 && block < b.kv.num_blocks, "block_table[{}][{}] is {}, outside of [0, {})", s, i,
           block, b.kv.num_blocks);
    }
  }

  std::string_view op_;
};

// Entries of `ids` by row: [begin[r], begin[r + 1]).
void check_entries(const Check& check, const Tensor& begin, const Tensor& ids, int64_t rows, int64_t vocab) {
  check.vector("ids", ids, DType::kI32, ids.rows);
  check.indices("ids", ids, 0, vocab);
  check.vector("begin", begin, DType::kI32, rows + 1);
  check.indices("begin", begin, 0, ids.rows + 1);
  for (int64_t r = 0; r < rows; ++r)
    check.that(*begin.row<int32_t>(r) <= *begin.row<int32_t>(r + 1), "begin[{}] is {}, begin[{}] {}", r,
               *begin.row<int32_t>(r), r + 1, *begin.row<int32_t>(r + 1));
}

}  // namespace

void CheckedOps::take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) {
  const Check check("take_tokens");
  check.vector("tokens", tokens, DType::kI32, tokens.rows);
  check.vector("token_ids", token_ids_inout, DType::kI32, rows.rows);
  check.vector("rows", rows, DType::kI32, rows.rows);
  check.indices("rows", rows, -1, tokens.rows);
  check.apart("token_ids", token_ids_inout, "tokens", tokens);
  check.apart("token_ids", token_ids_inout, "rows", rows);
  inner_.take_tokens(tokens, rows, token_ids_inout);
}

void CheckedOps::embedding(const Weight& table, Tensor token_ids, Tensor out) {
  const Check check("embedding");
  check.weight("table", table);
  check.activation("out", out);
  check.shape("out", out, out.rows, table.cols());
  check.vector("token_ids", token_ids, DType::kI32, out.rows);
  check.indices("token_ids", token_ids, 0, table.rows());
  check.apart("out", out, "token_ids", token_ids);
  inner_.embedding(table, token_ids, out);
}

void CheckedOps::rms_norm(Tensor x, Tensor weight, float eps, Tensor out) {
  const Check check("rms_norm");
  check.activation("x", x);
  check.typed("out", out, x.dtype, x.rows, x.cols);
  check.typed("weight", weight, DType::kF32, 1, x.cols);
  check.that(eps >= 0 && std::isfinite(eps), "eps is {}", eps);
  if (!same_place(x, out)) check.apart("out", out, "x", x);
  check.apart("out", out, "weight", weight);
  inner_.rms_norm(x, weight, eps, out);
}

void CheckedOps::add(Tensor x_inout, Tensor delta) {
  const Check check("add");
  check.activation("x", x_inout);
  check.typed("delta", delta, x_inout.dtype, x_inout.rows, x_inout.cols);
  check.apart("x", x_inout, "delta", delta);
  inner_.add(x_inout, delta);
}

void CheckedOps::linear(Tensor x, const Weight& w, Tensor out) {
  const Check check("linear");
  check.weight("w", w);
  check.activation("x", x);
  check.activation("out", out);
  check.shape("x", x, x.rows, w.cols());
  check.shape("out", out, x.rows, w.rows());
  check.that(out.dtype == x.dtype || out.dtype == DType::kF32, "out is {}, x is {}", name_of(out.dtype),
             name_of(x.dtype));
  if (w.bias) check.typed("bias", w.bias, DType::kF32, 1, w.rows());
  check.apart("out", out, "x", x);
  inner_.linear(x, w, out);
}

void CheckedOps::rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) {
  const Check check("rope_table");
  check.typed("out", out, DType::kF32, out.rows, out.cols);
  check.that(out.cols % 2 == 0, "out has {} columns, an even number is needed", out.cols);
  check.vector("positions", positions, DType::kI32, out.rows);
  check.indices("positions", positions, 0, int64_t{1} << 31U);
  check.typed("inv_freq", inv_freq, DType::kF32, 1, out.cols / 2);
  check.that(std::isfinite(factor), "factor is {}", factor);
  check.that(round_to == DType::kBF16 || round_to == DType::kF32, "round_to is {}", name_of(round_to));
  check.apart("out", out, "positions", positions);
  check.apart("out", out, "inv_freq", inv_freq);
  inner_.rope_table(positions, inv_freq, factor, round_to, out);
}

void CheckedOps::qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm,
                              float eps, Tensor table) {
  const Check check("qk_norm_rope");
  check.activation("q", q_inout);
  check.activation("k", k_inout);
  check.dtype("k", k_inout, q_inout.dtype);
  check.that(head_dim > 0 && head_dim % 2 == 0, "head_dim is {}", head_dim);
  check.that(q_inout.cols % head_dim == 0, "q has {} columns, head_dim is {}", q_inout.cols, head_dim);
  check.that(k_inout.cols % head_dim == 0, "k has {} columns, head_dim is {}", k_inout.cols, head_dim);
  check.shape("k", k_inout, q_inout.rows, k_inout.cols);
  if (q_norm) check.typed("q_norm", q_norm, DType::kF32, 1, head_dim);
  if (k_norm) check.typed("k_norm", k_norm, DType::kF32, 1, head_dim);
  check.that((!q_norm && !k_norm) || (eps >= 0 && std::isfinite(eps)), "eps is {}", eps);
  check.typed("table", table, DType::kF32, q_inout.rows, table.cols);
  check.that(table.cols % 2 == 0 && table.cols <= head_dim, "rotary_dim is {}, head_dim {}", table.cols,
             head_dim);
  check.apart("q", q_inout, "k", k_inout);
  check.apart("q", q_inout, "table", table);
  check.apart("k", k_inout, "table", table);
  inner_.qk_norm_rope(q_inout, k_inout, head_dim, q_norm, k_norm, eps, table);
}

void CheckedOps::store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) {
  const Check check("store_kv");
  check.batch(batch);
  const KvCacheView& kv = batch.kv;
  check.activation("k", k);
  check.shape("k", k, batch.num_tokens, int64_t{kv.num_kv_heads} * kv.head_dim);
  check.typed("v", v, k.dtype, batch.num_tokens, k.cols);
  check.that(layer >= 0 && layer < kv.num_layers, "layer {} of {}", layer, kv.num_layers);
  check.indices("slot_mapping", batch.slot_mapping, 0, int64_t{kv.num_blocks} * kv.block_size);
  inner_.store_kv(k, v, layer, batch);
}

void CheckedOps::paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch,
                                 Tensor out) {
  const Check check("paged_attention");
  check.batch(batch);
  const KvCacheView& kv = batch.kv;
  check.that(params.layer >= 0 && params.layer < kv.num_layers, "layer {} of {}", params.layer,
             kv.num_layers);
  check.that(params.head_dim == kv.head_dim && params.num_kv_heads == kv.num_kv_heads,
             "{} KV heads of {}, the cache has {} of {}", params.num_kv_heads, params.head_dim,
             kv.num_kv_heads, kv.head_dim);
  check.that(params.num_heads > 0 && params.num_heads % params.num_kv_heads == 0, "{} heads over {} KV heads",
             params.num_heads, params.num_kv_heads);
  check.that(params.window >= 0, "window is {}", params.window);
  check.that(params.scale > 0 && std::isfinite(params.scale), "scale is {}", params.scale);
  check.activation("q", q);
  check.shape("q", q, batch.num_tokens, int64_t{params.num_heads} * params.head_dim);
  check.typed("out", out, q.dtype, q.rows, q.cols);
  check.apart("out", out, "q", q);
  check.sequences(batch, params.window);
  inner_.paged_attention(q, params, batch, out);
}

void CheckedOps::silu_mul(Tensor gate_up, Tensor out) {
  const Check check("silu_mul");
  check.activation("gate_up", gate_up);
  check.shape("gate_up", gate_up, out.rows, 2 * out.cols);
  check.typed("out", out, gate_up.dtype, gate_up.rows, out.cols);
  check.apart("out", out, "gate_up", gate_up);
  inner_.silu_mul(gate_up, out);
}

void CheckedOps::gather_rows(Tensor x, Tensor indices, Tensor out) {
  const Check check("gather_rows");
  check.shape("x", x, x.rows, x.cols);
  check.typed("out", out, x.dtype, out.rows, x.cols);
  check.vector("indices", indices, DType::kI32, out.rows);
  check.indices("indices", indices, 0, x.rows);
  check.apart("out", out, "x", x);
  check.apart("out", out, "indices", indices);
  inner_.gather_rows(x, indices, out);
}

void CheckedOps::add_logits(Tensor logits_inout, const LogitEditsView& edits) {
  const Check check("add_logits");
  const int64_t rows = logits_inout.rows;
  const int64_t entries = edits.ids.rows;
  check.typed("logits", logits_inout, DType::kF32, rows, logits_inout.cols);
  check_entries(check, edits.begin, edits.ids, rows, logits_inout.cols);
  check.vector("adds", edits.adds, DType::kF32, entries);
  for (int64_t i = 0; i < entries; ++i)
    check.that(*edits.adds.row<float>(i) < std::numeric_limits<float>::infinity(), "adds[{}] is {}", i,
               *edits.adds.row<float>(i));
  inner_.add_logits(logits_inout, edits);
}

void CheckedOps::mask_logits(Tensor logits_inout, const MaskView& masks) {
  const Check check("mask_logits");
  check.typed("logits", logits_inout, DType::kF32, logits_inout.rows, logits_inout.cols);
  check.typed("words", masks.words, DType::kI32, masks.words.rows, (logits_inout.cols + 31) / 32);
  check.vector("index", masks.index, DType::kI32, logits_inout.rows);
  check.indices("index", masks.index, -1, masks.words.rows);
  inner_.mask_logits(logits_inout, masks);
}

void CheckedOps::apply_penalties(Tensor logits_inout, const PenaltyView& params) {
  const Check check("apply_penalties");
  const int64_t rows = logits_inout.rows;
  const int64_t entries = params.ids.rows;
  check.typed("logits", logits_inout, DType::kF32, rows, logits_inout.cols);
  check_entries(check, params.begin, params.ids, rows, logits_inout.cols);
  check.vector("counts", params.counts, DType::kI32, entries);
  check.vector("repetition", params.repetition, DType::kF32, rows);
  check.vector("presence", params.presence, DType::kF32, rows);
  check.vector("frequency", params.frequency, DType::kF32, rows);
  for (int64_t r = 0; r < rows; ++r) {
    check.that(*params.repetition.row<float>(r) > 0, "repetition[{}] is {}", r,
               *params.repetition.row<float>(r));
  }
  for (int64_t i = 0; i < entries; ++i)
    check.that(*params.counts.row<int32_t>(i) >= 0, "counts[{}] is {}", i, *params.counts.row<int32_t>(i));
  inner_.apply_penalties(logits_inout, params);
}

void CheckedOps::sample(Tensor logits, const SamplerView& params, Tensor out_tokens) {
  const Check check("sample");
  const int64_t rows = logits.rows;
  check.typed("logits", logits, DType::kF32, rows, logits.cols);
  check.that(logits.cols > 0, "logits have no columns");
  check.vector("temperature", params.temperature, DType::kF32, rows);
  check.vector("top_k", params.top_k, DType::kI32, rows);
  check.vector("top_p", params.top_p, DType::kF32, rows);
  check.vector("min_p", params.min_p, DType::kF32, rows);
  check.vector("seed", params.seed, DType::kI64, rows);
  check.vector("position", params.position, DType::kI64, rows);
  check.vector("out_tokens", out_tokens, DType::kI32, rows);
  for (int64_t r = 0; r < rows; ++r) {
    const float temperature = *params.temperature.row<float>(r);
    const float top_p = *params.top_p.row<float>(r);
    const float min_p = *params.min_p.row<float>(r);
    check.that(temperature >= 0 && std::isfinite(temperature), "temperature[{}] is {}", r, temperature);
    check.that(*params.top_k.row<int32_t>(r) >= 0, "top_k[{}] is {}", r, *params.top_k.row<int32_t>(r));
    check.that(top_p > 0 && top_p <= 1, "top_p[{}] is {}, outside of (0, 1]", r, top_p);
    check.that(min_p >= 0 && min_p <= 1, "min_p[{}] is {}, outside of [0, 1]", r, min_p);
  }
  check.apart("out_tokens", out_tokens, "logits", logits);
  inner_.sample(logits, params, out_tokens);
}

void CheckedOps::logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                          Tensor out_top_logprobs) {
  const Check check("logprobs");
  check.typed("logits", logits, DType::kF32, logits.rows, logits.cols);
  check.vector("targets", targets, DType::kI32, logits.rows);
  check.indices("targets", targets, -1, logits.cols);
  check.vector("out_logprobs", out_logprobs, DType::kF32, logits.rows);
  check.that(top_n >= 0 && top_n <= logits.cols, "top_n is {}, the vocabulary {}", top_n, logits.cols);
  check.apart("out_logprobs", out_logprobs, "logits", logits);
  check.apart("out_logprobs", out_logprobs, "targets", targets);
  if (top_n > 0) {
    check.typed("out_top_ids", out_top_ids, DType::kI32, logits.rows, top_n);
    check.typed("out_top_logprobs", out_top_logprobs, DType::kF32, logits.rows, top_n);
    check.apart("out_top_ids", out_top_ids, "logits", logits);
    check.apart("out_top_logprobs", out_top_logprobs, "logits", logits);
    check.apart("out_top_ids", out_top_ids, "out_top_logprobs", out_top_logprobs);
  }
  inner_.logprobs(logits, targets, top_n, out_logprobs, out_top_ids, out_top_logprobs);
}

}  // namespace pegainfer
