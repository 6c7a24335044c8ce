// The innermost loops. For _isa.cpp files only.
//
// The order of additions for one output is the same in every function here:
//   quantized: sub-blocks in sequence, each a chain of steps from zero; then sum = fma(dot, scale, sum) and
//     sum = fma(min, sum of x, sum);
//   dense: chunks of Act::kChunkCells cells, each two chains (even and odd steps) from zero; then
//     sum += even + odd.
#pragma once

#include <cstdint>

#include "kernels/cpu/linear_act.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

constexpr int64_t kAccStride = 32;        // floats: two groups of rows
constexpr int64_t kPrefetchBytes = 3072;  // ahead of what is being multiplied

// Tokens of x from one cell on, and the sums of x over sub-blocks.
template <class Act>
struct Rows {
  const typename Act::X* x;
  int64_t stride;
  const float* sums;
  int64_t sums_stride;

  PEGA_INLINE Rows at(int64_t token, int64_t cell, int subs) const {
    return {x + token * stride + cell * 32, stride, sums + token * sums_stride + cell * subs, sums_stride};
  }
};

template <class Act, WeightFormat F>
constexpr int kUnits = 32 / Act::kCols / Act::template kUnitSteps<F>;  // of a cell

// Planes some cells ahead, which runs into the next group; scales and supers of the group that comes after
// these R.
template <WeightFormat F, int C>
PEGA_INLINE void prefetch_cells(const GroupView& group, int64_t cell, int groups) {
  using Fmt = Format<F>;
  for (int64_t b = 0; b < C * Fmt::kCellBytes; b += 64)
    __builtin_prefetch(group.cells + cell * Fmt::kCellBytes + kPrefetchBytes + b);
  for (int64_t b = 0; b < C * Fmt::kScaleBytes; b += 64)
    __builtin_prefetch(group.scales + cell * Fmt::kScaleBytes + groups * group.stride + b);
  if constexpr (Fmt::kSuper)
    __builtin_prefetch(group.supers + cell / 8 * Fmt::kSuperBytes + groups * group.stride);
}

// C cells of R groups x T tokens: the dot products of their sub-blocks, then into the sums cell by cell.
template <class Act, WeightFormat F, int T, int R, int C>
PEGA_INLINE void direct_cells(const GroupView (&group)[R], int64_t cell, const Rows<Act>& rows,
                              Vec (&sum)[T][R]) {
  using Fmt = Format<F>;
  constexpr int kUnit = Act::template kUnitSteps<F>;
  Vec dot[C][Fmt::kSubs][T][R];
  for (int c = 0; c < C; ++c)
    for (int s = 0; s < Fmt::kSubs; ++s)
      for (int t = 0; t < T; ++t)
        for (int r = 0; r < R; ++r) dot[c][s][t][r] = vzero();
  for (int r = 0; r < R; ++r) prefetch_cells<F, C>(group[r], cell, R);
#pragma GCC unroll 16
  for (int unit = 0; unit < kUnits<Act, F>; ++unit) {
    for (int c = 0; c < C; ++c) {
      typename Act::W w[R][kUnit];
      for (int r = 0; r < R; ++r)
        Act::template decode<F>(group[r].cells + (cell + c) * Fmt::kCellBytes, unit, w[r]);
      for (int i = 0; i < kUnit; ++i) {
        const int col = (unit * kUnit + i) * Act::kCols;
        for (int t = 0; t < T; ++t)
          for (int r = 0; r < R; ++r) {
            Vec& d = dot[c][col / Fmt::kSubCols][t][r];
            d = Act::step(d, w[r][i], rows.x + t * rows.stride + (cell + c) * 32 + col);
          }
      }
    }
  }
  for (int c = 0; c < C; ++c)
    for (int r = 0; r < R; ++r) {
      const Scales scales = decode_scales<F>(group[r], cell + c);
      for (int s = 0; s < Fmt::kSubs; ++s)
        for (int t = 0; t < T; ++t) {
          sum[t][r] = vfma(dot[c][s][t][r], scales.scale[s], sum[t][r]);
          if constexpr (Fmt::kMin) {
            const float x_sum = rows.sums[t * rows.sums_stride + (cell + c) * Fmt::kSubs + s];
            sum[t][r] = vfma(scales.min[s], vset(x_sum), sum[t][r]);
          }
        }
    }
}

// Straight from packed memory: T tokens x R groups over all of k -> acc [T][kAccStride].
template <class Act, WeightFormat F, int T, int R>
[[gnu::noinline]] void direct_quant(const GroupView (&group)[R], int64_t cells, Rows<Act> rows, float* acc) {
  constexpr int kCells = Act::direct_cells(T);
  Vec sum[T][R];
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) sum[t][r] = vzero();
  int64_t cell = 0;
  for (; cell + kCells <= cells; cell += kCells) direct_cells<Act, F, T, R, kCells>(group, cell, rows, sum);
  if constexpr (kCells > 1)
    for (; cell < cells; ++cell) direct_cells<Act, F, T, R, 1>(group, cell, rows, sum);
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) vstore(acc + t * kAccStride + r * 16, sum[t][r]);
}

template <class Act, WeightFormat F, int T, int R>
[[gnu::noinline]] void direct_dense(const GroupView (&group)[R], int64_t cells, Rows<Act> rows, float* acc) {
  using Fmt = Format<F>;
  constexpr int kUnit = Act::template kUnitSteps<F>;
  Vec sum[T][R];
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) sum[t][r] = vzero();
  for (int64_t chunk = 0; chunk < cells; chunk += Act::kChunkCells) {
    const int64_t end = cells < chunk + Act::kChunkCells ? cells : chunk + Act::kChunkCells;
    Vec part[2][T][R];
    for (int t = 0; t < T; ++t)
      for (int r = 0; r < R; ++r) part[0][t][r] = part[1][t][r] = vzero();
    for (int64_t cell = chunk; cell < end; ++cell) {
      for (int r = 0; r < R; ++r)
        for (int64_t b = 0; b < Fmt::kCellBytes; b += 64)
          __builtin_prefetch(group[r].cells + cell * Fmt::kCellBytes + kPrefetchBytes + b);
#pragma GCC unroll 16
      for (int unit = 0; unit < kUnits<Act, F>; ++unit) {
        typename Act::W w[R][kUnit];
        for (int r = 0; r < R; ++r)
          Act::template decode<F>(group[r].cells + cell * Fmt::kCellBytes, unit, w[r]);
        for (int i = 0; i < kUnit; ++i) {
          const int step = unit * kUnit + i;
          for (int t = 0; t < T; ++t)
            for (int r = 0; r < R; ++r) {
              Vec& d = part[step % 2][t][r];
              d = Act::step(d, w[r][i], rows.x + t * rows.stride + cell * 32 + step * Act::kCols);
            }
        }
      }
    }
    for (int t = 0; t < T; ++t)
      for (int r = 0; r < R; ++r) sum[t][r] = vadd(sum[t][r], vadd(part[0][t][r], part[1][t][r]));
  }
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) vstore(acc + t * kAccStride + r * 16, sum[t][r]);
}

// A chunk of k of one or two groups, unpacked.
struct Panel {
  const uint8_t* weights[2];  // [cells][32 / Act::kCols] steps of 64 bytes
  const float* scales[2];     // [cells][sub-blocks][scale [16], min [16] if any]
  int64_t cells;
  bool first;  // the sums start here
};

template <int T, int R>
PEGA_INLINE void load_sums(const Panel& panel, const float* acc, Vec (&sum)[T][R]) {
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) sum[t][r] = panel.first ? vzero() : vload(acc + t * kAccStride + r * 16);
}

// acc [T][kAccStride] += T tokens x R groups over the panel's columns.
template <class Act, int sub_cols, bool has_min, int T, int R>
[[gnu::noinline]] void tile_quant(const Panel& panel, Rows<Act> rows, float* acc) {
  constexpr int kSubs = 32 / sub_cols;
  constexpr int kSteps = sub_cols / Act::kCols;
  constexpr int kScaleFloats = has_min ? 32 : 16;
  Vec sum[T][R];
  load_sums(panel, acc, sum);
  const int64_t subs = panel.cells * kSubs;
  for (int64_t s = 0; s < subs; ++s) {
    Vec dot[T][R];
    for (int t = 0; t < T; ++t)
      for (int r = 0; r < R; ++r) dot[t][r] = vzero();
    const typename Act::X* x = rows.x + s * sub_cols;
#pragma GCC unroll 4
    for (int step = 0; step < kSteps; ++step) {
      typename Act::W w[R];
      for (int r = 0; r < R; ++r) w[r] = Act::load(panel.weights[r] + (s * kSteps + step) * 64);
      for (int t = 0; t < T; ++t)
        for (int r = 0; r < R; ++r)
          dot[t][r] = Act::step(dot[t][r], w[r], x + t * rows.stride + step * Act::kCols);
    }
    for (int r = 0; r < R; ++r) {
      const Vec scale = vload(panel.scales[r] + s * kScaleFloats);
      for (int t = 0; t < T; ++t) sum[t][r] = vfma(dot[t][r], scale, sum[t][r]);
    }
    if constexpr (has_min)
      for (int r = 0; r < R; ++r) {
        const Vec min = vload(panel.scales[r] + s * kScaleFloats + 16);
        for (int t = 0; t < T; ++t)
          sum[t][r] = vfma(min, vset(rows.sums[t * rows.sums_stride + s]), sum[t][r]);
      }
  }
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) vstore(acc + t * kAccStride + r * 16, sum[t][r]);
}

template <class Act, int T, int R>
[[gnu::noinline]] void tile_dense(const Panel& panel, Rows<Act> rows, float* acc) {
  Vec part[2][T][R];
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) part[0][t][r] = part[1][t][r] = vzero();
  const int64_t steps = panel.cells * (32 / Act::kCols);
  for (int64_t step = 0; step < steps; step += 2) {
#pragma GCC unroll 2
    for (int odd = 0; odd < 2; ++odd) {
      typename Act::W w[R];
      for (int r = 0; r < R; ++r) w[r] = Act::load(panel.weights[r] + (step + odd) * 64);
      const typename Act::X* x = rows.x + (step + odd) * Act::kCols;
      for (int t = 0; t < T; ++t)
        for (int r = 0; r < R; ++r) part[odd][t][r] = Act::step(part[odd][t][r], w[r], x + t * rows.stride);
    }
  }
  Vec sum[T][R];
  load_sums(panel, acc, sum);
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r)
      vstore(acc + t * kAccStride + r * 16, vadd(sum[t][r], vadd(part[0][t][r], part[1][t][r])));
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA
