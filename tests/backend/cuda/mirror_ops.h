// MirrorOps: device ops for tests whose tensors are in host memory. Each call's arguments are copied to the
// device, the op runs, and what it may write is copied back: so the tests of the ops are the same for every
// backend. Arguments that are in device memory already (packed weights) are left where they are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backend/cuda/cuda_context.h"
#include "backend/ops.h"
#include "base/check.h"

namespace pegainfer::testing {

class Mirror {  // of one call's arguments
 public:
  explicit Mirror(CudaContext& context) : context_(context) {}

  // The tensor's pointer is replaced by to_device(). Everything its extent touches is copied, gaps too, so
  // that slices of one tensor share one copy.
  void add(Tensor& t, bool written = false) {
    if (t.data == nullptr || t.rows == 0 || t.cols == 0) return;
    const auto elements = static_cast<size_t>((t.rows - 1) * t.row_stride + t.cols);
    add_range(&t.data, elements * size_of(t.dtype), written);
  }
  void add(KvCacheView& kv, bool written = false) {
    if (kv.data == nullptr) return;
    add_range(reinterpret_cast<void**>(&kv.data),
              static_cast<size_t>(kv.num_layers) * static_cast<size_t>(kv.num_blocks) * kv.bytes_per_block(),
              written);
  }
  void add(BatchView& b, bool writes_cache = false) {
    for (Tensor* t : {&b.token_ids, &b.positions, &b.slot_mapping, &b.query_start, &b.context_len,
                      &b.block_table, &b.logits_rows})
      add(*t);
    add(b.kv, writes_cache);
  }
  void add(Weight& w) {
    for (int i = 0; i < w.num_parts; ++i) {
      WeightPart& part = w.parts.at(static_cast<size_t>(i));
      CHECK(on_device(part.data), "part {} is not on the device", i);
    }
    add(w.bias);
  }

  void to_device() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (const Range& r : ranges_) {
      if (!copies_.empty() && r.begin < copies_.back().end) {
        copies_.back().end = std::max(copies_.back().end, r.end);
        copies_.back().written |= r.written;
      } else {
        copies_.push_back({r.begin, r.end, r.written, {}});
      }
    }
    for (Copy& c : copies_) {
      Result<Buffer> buffer = context_.allocate((c.end - c.begin + 255) / 256 * 256);
      CHECK(buffer.has_value(), "{}", buffer.error().message);
      c.device = *std::move(buffer);
      check(cudaMemcpyAsync(c.device.data(), reinterpret_cast<const void*>(c.begin), c.end - c.begin,
                            cudaMemcpyHostToDevice, context_.stream()));
    }
    for (const Range& r : ranges_) {
      const auto it = std::find_if(copies_.begin(), copies_.end(),
                                   [&](const Copy& c) { return r.begin >= c.begin && r.end <= c.end; });
      *r.pointer = it->device.data() + (r.begin - it->begin);
    }
  }
  void to_host() {
    for (Copy& c : copies_) {
      if (!c.written) continue;
      check(cudaMemcpyAsync(reinterpret_cast<void*>(c.begin), c.device.data(), c.end - c.begin,
                            cudaMemcpyDeviceToHost, context_.stream()));
    }
    check(cudaStreamSynchronize(context_.stream()));
    CHECK(context_.health().has_value(), "{}", context_.health().error().message);
  }

 private:
  struct Range {
    void** pointer;
    uintptr_t begin;
    uintptr_t end;
    bool written;
  };
  struct Copy {
    uintptr_t begin;
    uintptr_t end;
    bool written;
    Buffer device;
  };

  static bool on_device(const void* p) {
    cudaPointerAttributes attributes{};
    return cudaPointerGetAttributes(&attributes, p) == cudaSuccess && attributes.type == cudaMemoryTypeDevice;
  }
  void add_range(void** pointer, size_t bytes, bool written) {
    if (on_device(*pointer)) return;
    const auto begin = reinterpret_cast<uintptr_t>(*pointer);
    ranges_.push_back({pointer, begin, begin + bytes, written});
  }
  static void check(cudaError_t error) { CHECK(error == cudaSuccess, "{}", cudaGetErrorString(error)); }

  CudaContext& context_;
  std::vector<Range> ranges_;
  std::vector<Copy> copies_;
};

class MirrorOps final : public Ops {
 public:
  MirrorOps(CudaContext& context, Ops& inner) : context_(context), inner_(inner) {}

  void take_tokens(Tensor tokens, Tensor rows, Tensor ids) override {
    Mirror m(context_);
    m.add(tokens), m.add(rows), m.add(ids, true);
    run(m, [&] { inner_.take_tokens(tokens, rows, ids); });
  }
  void embedding(const Weight& table, Tensor ids, Tensor out) override {
    Mirror m(context_);
    Weight t = table;
    m.add(t), m.add(ids), m.add(out, true);
    run(m, [&] { inner_.embedding(t, ids, out); });
  }
  void rms_norm(Tensor x, Tensor weight, float eps, Tensor out) override {
    Mirror m(context_);
    m.add(x), m.add(weight), m.add(out, true);
    run(m, [&] { inner_.rms_norm(x, weight, eps, out); });
  }
  void add(Tensor x, Tensor delta) override {
    Mirror m(context_);
    m.add(x, true), m.add(delta);
    run(m, [&] { inner_.add(x, delta); });
  }
  void linear(Tensor x, const Weight& w, Tensor out) override {
    Mirror m(context_);
    Weight d = w;
    m.add(x), m.add(d), m.add(out, true);
    run(m, [&] { inner_.linear(x, d, out); });
  }
  void rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) override {
    Mirror m(context_);
    m.add(positions), m.add(inv_freq), m.add(out, true);
    run(m, [&] { inner_.rope_table(positions, inv_freq, factor, round_to, out); });
  }
  void qk_norm_rope(Tensor q, Tensor k, int head_dim, Tensor q_norm, Tensor k_norm, float eps,
                    Tensor table) override {
    Mirror m(context_);
    m.add(q, true), m.add(k, true), m.add(q_norm), m.add(k_norm), m.add(table);
    run(m, [&] { inner_.qk_norm_rope(q, k, head_dim, q_norm, k_norm, eps, table); });
  }
  void store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) override {
    Mirror m(context_);
    BatchView b = batch;
    m.add(k), m.add(v), m.add(b, true);
    run(m, [&] { inner_.store_kv(k, v, layer, b); });
  }
  void paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) override {
    Mirror m(context_);
    BatchView b = batch;
    m.add(q), m.add(b), m.add(out, true);
    run(m, [&] {
      inner_.begin_step(b);
      inner_.paged_attention(q, params, b, out);
    });
  }
  void silu_mul(Tensor gate_up, Tensor out) override {
    Mirror m(context_);
    m.add(gate_up), m.add(out, true);
    run(m, [&] { inner_.silu_mul(gate_up, out); });
  }
  void gather_rows(Tensor x, Tensor indices, Tensor out) override {
    Mirror m(context_);
    m.add(x), m.add(indices), m.add(out, true);
    run(m, [&] { inner_.gather_rows(x, indices, out); });
  }
  void add_logits(Tensor logits, const LogitEditsView& edits) override {
    Mirror m(context_);
    LogitEditsView e = edits;
    for (Tensor* t : {&e.begin, &e.ids, &e.adds}) m.add(*t);
    m.add(logits, true);
    run(m, [&] { inner_.add_logits(logits, e); });
  }
  void mask_logits(Tensor logits, const MaskView& masks) override {
    Mirror m(context_);
    MaskView v = masks;
    m.add(v.index), m.add(v.words), m.add(logits, true);
    run(m, [&] { inner_.mask_logits(logits, v); });
  }
  void apply_penalties(Tensor logits, const PenaltyView& params) override {
    Mirror m(context_);
    PenaltyView p = params;
    for (Tensor* t : {&p.begin, &p.ids, &p.counts, &p.repetition, &p.presence, &p.frequency}) m.add(*t);
    m.add(logits, true);
    run(m, [&] { inner_.apply_penalties(logits, p); });
  }
  void sample(Tensor logits, const SamplerView& params, Tensor out) override {
    Mirror m(context_);
    SamplerView p = params;
    for (Tensor* t : {&p.temperature, &p.top_k, &p.top_p, &p.min_p, &p.seed, &p.position}) m.add(*t);
    m.add(logits), m.add(out, true);
    run(m, [&] { inner_.sample(logits, p, out); });
  }
  void logprobs(Tensor logits, Tensor targets, int top_n, Tensor out, Tensor ids, Tensor tops) override {
    Mirror m(context_);
    m.add(logits), m.add(targets), m.add(out, true), m.add(ids, true), m.add(tops, true);
    run(m, [&] { inner_.logprobs(logits, targets, top_n, out, ids, tops); });
  }
  void norm_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor out) override {
    Mirror m(context_);
    Weight d = w;
    m.add(x), m.add(norm), m.add(d), m.add(h, true), m.add(out, true);
    run(m, [&] { inner_.norm_linear(x, norm, eps, d, h, out); });
  }
  void linear_add(Tensor x, const Weight& w, Tensor delta, Tensor residual) override {
    Mirror m(context_);
    Weight d = w;
    m.add(x), m.add(d), m.add(delta, true), m.add(residual, true);
    run(m, [&] { inner_.linear_add(x, d, delta, residual); });
  }
  void norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor gate_up,
                         Tensor out) override {
    Mirror m(context_);
    Weight d = w;
    m.add(x), m.add(norm), m.add(d), m.add(h, true), m.add(gate_up, true), m.add(out, true);
    run(m, [&] { inner_.norm_gated_linear(x, norm, eps, d, h, gate_up, out); });
  }
  void qk_norm_rope_store(Tensor q, Tensor k, Tensor v, const QkNormRope& params, int layer,
                          const BatchView& batch) override {
    Mirror m(context_);
    BatchView b = batch;
    QkNormRope p = params;
    m.add(q, true), m.add(k, true), m.add(v), m.add(p.q_norm), m.add(p.k_norm), m.add(p.table),
        m.add(b, true);
    run(m, [&] { inner_.qk_norm_rope_store(q, k, v, p, layer, b); });
  }
  void attention(Tensor q, Tensor k, Tensor v, const QkNormRope& rope, const AttentionParams& params,
                 const BatchView& batch, Tensor out) override {
    Mirror m(context_);
    BatchView b = batch;
    QkNormRope p = rope;
    m.add(q, true), m.add(k, true), m.add(v), m.add(p.q_norm), m.add(p.k_norm), m.add(p.table),
        m.add(b, true), m.add(out, true);
    run(m, [&] {
      inner_.begin_step(b);
      inner_.attention(q, k, v, p, params, b, out);
    });
  }

 private:
  template <class Call>
  void run(Mirror& m, Call call) {
    m.to_device();
    call();
    m.to_host();
  }

  CudaContext& context_;
  Ops& inner_;
};

}  // namespace pegainfer::testing
