// Ops: one virtual call per kernel or fused group; the vocabulary a model definition is written in.
//
// The contract of every op:
//   1. it writes only what its name or comment calls out / inout;  2. it never allocates device memory;
//   3. it never waits: it enqueues on the backend's stream (CPU: runs now);  4. out never overlaps an input
//   unless said.
// So any sequence of ops can be captured into a graph. Activations are BF16 or F32 ("the arithmetic"); in
// BF16 every op's output is rounded where PyTorch would (docs/numerics.md), sums are F32 inside. The result
// for a row depends on that row alone: not on the batch around it, nor on how a prompt is cut into chunks.
#pragma once

#include <cstdint>

#include "backend/batch_view.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace pegainfer {

struct AttentionParams {
  int layer = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  float scale = 0;  // of q.k, above 0, usually 1 / sqrt(head_dim)
  int window = 0;   // sliding window: position p sees (p - window, p]; 0: all of [0, p]
};

struct QkNormRope {
  Tensor q_norm, k_norm;  // [1, head_dim] F32, or empty: rotation only
  float eps = 0;
  Tensor table;  // rope_table's out
};

// Per row of logits, what sample() does. All [rows, 1].
struct SamplerView {
  Tensor temperature;  // F32; 0: argmax, lowest id on a tie
  Tensor top_k;        // I32; 0: off
  Tensor top_p;        // F32; 1: off
  Tensor min_p;        // F32; 0: off
  Tensor seed;         // I64: key of the counter-based generator
  Tensor position;     // I64: its counter: the position the sampled token will have in the sequence
};

// Sparse changes of logits: entries [begin[r], begin[r + 1]) are row r's.
struct LogitEditsView {
  Tensor begin;  // [rows + 1, 1] I32, ascending; not from 0 where the rows are a slice of a step's
  Tensor ids;    // [entries, 1] I32, each at most once a row
  Tensor adds;   // [entries, 1] F32; -infinity: the token cannot be drawn
};

// Which tokens a row may give: bit id % 32 of word id / 32 of the mask with the row's index.
struct MaskView {
  Tensor index;  // [rows, 1] I32; -1: all of them
  Tensor words;  // [masks, (vocab + 31) / 32] I32
};

// What each row has said already, and how it is to be held against it: entries [begin[r], begin[r + 1]) are
// the different tokens of its prompt and output.
struct PenaltyView {
  Tensor begin;       // [rows + 1, 1] I32, as in LogitEditsView
  Tensor ids;         // [entries, 1] I32, each at most once a row
  Tensor counts;      // [entries, 1] I32: how often it is in the output; 0: in the prompt only
  Tensor repetition;  // [rows, 1] F32, above 0; 1: off
  Tensor presence;    // [rows, 1] F32; 0: off
  Tensor frequency;   // [rows, 1] F32; 0: off
};

class Ops {
 public:
  virtual ~Ops() = default;

  // token_ids[t] = tokens[rows[t]] where rows[t] is not -1; a token of -1 (a row that gave none) becomes 0,
  // so that the id can be looked up. tokens [n, 1], rows and token_ids [tokens, 1], all I32.
  virtual void take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) = 0;

  // out[t] = table[token_ids[t]]; rows of a quantized table are dequantized. out [tokens, hidden].
  virtual void embedding(const Weight& table, Tensor token_ids, Tensor out) = 0;

  // out = bf16(x * rsqrt(mean(x^2) + eps)) * weight, row by row. weight [1, cols] F32. x may be out.
  virtual void rms_norm(Tensor x, Tensor weight, float eps, Tensor out) = 0;

  // x += delta, rounded: the residual sum is rounded before it is normalised.
  virtual void add(Tensor x_inout, Tensor delta) = 0;

  // out = x w^T + bias. x [m, w.cols], out [m, w.rows] of x's dtype or F32 (logits).
  virtual void linear(Tensor x, const Weight& w, Tensor out) = 0;

  // cos and sin of positions[t] * inv_freq[i], times `factor` (YaRN's attention factor), rounded to the
  // arithmetic `round_to`. inv_freq [1, rotary_dim / 2] F32; out [tokens, rotary_dim] F32: cosines, then
  // sines.
  virtual void rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) = 0;

  // Per head of q [tokens, heads * head_dim] and k [tokens, kv_heads * head_dim], in place: RMS norm over
  // head_dim when q_norm / k_norm [1, head_dim] F32 are given, then the half-split rotation by table
  // (rope_table's out). q and k may be column slices of one qkv tensor.
  virtual void qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm,
                            float eps, Tensor table) = 0;

  // Writes k and v [tokens, kv_heads * head_dim] of this step into batch.kv at batch.slot_mapping.
  virtual void store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) = 0;

  // Causal attention of each query row over its sequence's context in the paged cache (which already holds
  // this step's keys). q and out [tokens, heads * head_dim].
  virtual void paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch,
                               Tensor out) = 0;

  // gate_up [tokens, 2 * n] -> out[:, i] = bf16(silu(gate_i)) * up_i, gate in the first n columns.
  virtual void silu_mul(Tensor gate_up, Tensor out) = 0;

  // out[i] = x[indices[i]]. indices [n, 1] I32.
  virtual void gather_rows(Tensor x, Tensor indices, Tensor out) = 0;

  // logits[r][ids[i]] += adds[i]. Logits [rows, vocab] F32.
  virtual void add_logits(Tensor logits_inout, const LogitEditsView& edits) = 0;

  // -infinity where a row's mask has no bit. Logits [rows, vocab] F32.
  virtual void mask_logits(Tensor logits_inout, const MaskView& masks) = 0;

  // Logits [rows, vocab] F32 of the entries, in this order (vLLM's): a positive one is divided by repetition,
  // a negative one multiplied (CTRL, section 4.1); minus frequency * count; minus presence where count > 0
  // (OpenAI's penalties). Each step is rounded, so that every backend gives the same bits.
  virtual void apply_penalties(Tensor logits_inout, const PenaltyView& params) = 0;

  // One token per row of logits [rows, vocab] F32: temperature, min_p, top_k, top_p in this order (vLLM's),
  // then one draw. out_tokens [rows, 1] I32. A row with a NaN or +infinity, or nothing but -infinity, gives
  // -1.
  virtual void sample(Tensor logits, const SamplerView& params, Tensor out_tokens) = 0;

  // Log-softmax of each row at `targets` [rows, 1] I32 -> out_logprobs [rows, 1] F32, and the top_n largest,
  // descending, lowest id first on a tie -> out_top_ids [rows, top_n] I32, out_top_logprobs [rows, top_n] F32
  // (ignored when top_n is 0). A target of -1 gives NaN, a row with a NaN gives NaNs.
  virtual void logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                        Tensor out_top_logprobs) = 0;

  // --- Fused groups: what one decoder layer is made of. Here they are the compositions of the ops above, and
  // that is what they mean on every backend; one that is bound by kernel boundaries overrides them. `h`,
  // `delta` and `gate_up` are memory for what lies between, whose contents afterwards are not defined.

  // Before the first op of a step: what is computed once for all layers.
  virtual void begin_step(const BatchView& /*batch*/) {}

  // out = linear(rms_norm(x)). h [m, w.cols].
  virtual void norm_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor out);

  // residual += linear(x), each rounded. delta [m, w.rows].
  virtual void linear_add(Tensor x, const Weight& w, Tensor delta, Tensor residual_inout);

  // out = silu_mul(linear(rms_norm(x))). h [m, w.cols], gate_up [m, w.rows], out [m, w.rows / 2].
  virtual void norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor gate_up,
                                 Tensor out);

  // qk_norm_rope of q and k, then store_kv of k and v.
  virtual void qk_norm_rope_store(Tensor q_inout, Tensor k_inout, Tensor v, const QkNormRope& params,
                                  int layer, const BatchView& batch);

  // qk_norm_rope_store, then paged_attention of q; the layer is params.layer. What q and k hold afterwards is
  // not defined.
  virtual void attention(Tensor q, Tensor k, Tensor v, const QkNormRope& rope, const AttentionParams& params,
                         const BatchView& batch, Tensor out);
};

}  // namespace pegainfer
