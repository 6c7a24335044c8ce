// The matrix products of one instruction set: x prepared, tasks run, a kernel picked for each format.
#include <cstdint>
#include <cstring>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/linear_tile.h"

namespace pegainfer::cpu::PEGA_ISA {

extern const LinearKernels kLinearKernels;

namespace {

#if defined(PEGA_ISA_avx512)
constexpr bool kHasBf16 = true;
#else
constexpr bool kHasBf16 = false;
using ActBf16 = ActF32;  // never run with BF16: x is prepared as F32
#endif

int64_t cells_of(int64_t k) { return (k + 31) / 32; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <WeightFormat F>
LinearPreparation preparation_for(bool x_bf16, int64_t k) {
  LinearPreparation p;
  p.copy_f32 = x_bf16 && !(kHasBf16 && F != WeightFormat::kF32 && F != WeightFormat::kF16);
  p.copy_padded = k % 32 != 0;
  p.sum_block = Format<F>::kMin ? Format<F>::kSubCols : 0;
  return p;
}

// Where prepare() puts what.
struct Prepared {
  std::byte* copy;
  int64_t stride;  // elements of a copied row
  float* sums;
  int64_t sums_stride;
};

Prepared place_of(const LinearPreparation& p, const LinearArgs& args) {
  const int64_t cols = cells_of(args.k) * 32;
  const bool copies = p.copy_f32 || p.copy_padded;
  auto* sums = reinterpret_cast<float*>(args.prepared);
  if (copies) sums += args.m * cols;
  return {args.prepared, cols, sums, p.sum_block == 0 ? 0 : cols / p.sum_block};
}

Vec load_x(const LinearArgs& args, int64_t token, int64_t col) {
  const int64_t at = token * args.x_stride + col;
  return args.x_bf16 ? vload_bf16(static_cast<const uint16_t*>(args.x) + at)
                     : vload(static_cast<const float*>(args.x) + at);
}

void copy_row(const LinearPreparation& p, const LinearArgs& args, const Prepared& to, int64_t token) {
  const bool widen = args.x_bf16 && p.copy_f32;
  const int64_t size = args.x_bf16 && !widen ? 2 : 4;
  std::byte* row = to.copy + token * to.stride * size;
  const int64_t from_size = args.x_bf16 ? 2 : 4;
  const std::byte* from = static_cast<const std::byte*>(args.x) + token * args.x_stride * from_size;
  if (!widen) {
    std::memcpy(row, from, static_cast<size_t>(args.k * size));
  } else {
    auto* out = reinterpret_cast<float*>(row);
    int64_t c = 0;
    for (; c + 16 <= args.k; c += 16) vstore(out + c, load_x(args, token, c));
    if (c < args.k) {
      uint16_t last[16] = {};
      std::memcpy(last, from + c * 2, static_cast<size_t>((args.k - c) * 2));
      vstore(out + c, vload_bf16(last));
    }
  }
  std::memset(row + args.k * size, 0, static_cast<size_t>((to.stride - args.k) * size));
}

float add_lanes(Vec v) {
  float lane[16];
  vstore(lane, v);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

void prepare(const LinearPreparation& p, const LinearArgs& args, int64_t token_begin, int64_t token_end) {
  const Prepared to = place_of(p, args);
  for (int64_t t = token_begin; t < token_end; ++t) {
    if (p.copy_f32 || p.copy_padded) copy_row(p, args, to, t);
    for (int64_t b = 0; b < to.sums_stride; ++b) {
      Vec v = load_x(args, t, b * p.sum_block);
      if (p.sum_block == 32) v = vadd(v, load_x(args, t, b * 32 + 16));
      to.sums[t * to.sums_stride + b] = add_lanes(v);
    }
  }
}

// A thread's scratch.
struct Scratch {
  float* acc;       // [kLinearTaskTokens][kAccStride]
  float* scales;    // [2 groups][kChunkCells][2 sub-blocks][32]
  uint8_t* panels;  // [2 groups][kChunkCells][32 / kCols] steps of 64 bytes
};
constexpr int64_t kPanelBytes = 16 * 16 * 64;  // of a group: 8 cells x 32 columns of F32
constexpr int64_t kPanelScales = 16 * 2 * 32;  // floats of a group
static_assert(kLinearTaskTokens * kAccStride * 4 + 2 * kPanelScales * 4 + 2 * kPanelBytes <=
              kLinearScratchBytes);

Scratch divide(std::byte* scratch) {
  auto* acc = reinterpret_cast<float*>(scratch);
  float* scales = acc + kLinearTaskTokens * kAccStride;
  return {acc, scales, reinterpret_cast<uint8_t*>(scales + 2 * kPanelScales)};
}

// acc [tokens][rows] + bias -> out, rounded to its type.
void store_out(const LinearArgs& args, const float* acc, int64_t row, int64_t rows, int64_t token,
               int64_t tokens) {
  for (int64_t t = 0; t < tokens; ++t, acc += kAccStride) {
    for (int64_t r = 0; r < rows; r += 16) {
      const int64_t n = smaller(16, rows - r);
      float lanes[16] = {};
      Vec v = vload(acc + r);
      if (args.bias != nullptr) {
        std::memcpy(lanes, args.bias + row + r, static_cast<size_t>(n) * 4);
        v = vadd(v, vload(lanes));
      }
      const int64_t at = (token + t) * args.out_stride + row + r;
      if (args.out_bf16) {
        auto* out = static_cast<uint16_t*>(args.out) + at;
        uint16_t part[16];
        vstore_bf16(n == 16 ? out : part, v);
        if (n < 16) std::memcpy(out, part, static_cast<size_t>(n) * 2);
      } else {
        auto* out = static_cast<float*>(args.out) + at;
        vstore(n == 16 ? out : lanes, v);
        if (n < 16) std::memcpy(out, lanes, static_cast<size_t>(n) * 4);
      }
    }
  }
}

struct Task {
  int64_t row;  // first of up to 32
  int64_t rows;
  int64_t token;  // first of up to kLinearTaskTokens
  int64_t tokens;
};

Task task_at(const LinearArgs& args, int64_t index) {
  const int64_t token_tiles = (args.m + kLinearTaskTokens - 1) / kLinearTaskTokens;
  const int64_t row = index / token_tiles * kLinearTaskRows;
  const int64_t token = index % token_tiles * kLinearTaskTokens;
  return {row, smaller(kLinearTaskRows, args.n - row), token, smaller(kLinearTaskTokens, args.m - token)};
}

// T tokens x the task's one or two groups. A tile of two groups whose second is missing does the first twice:
// what lands beyond the task's rows is not stored.
template <class Act, WeightFormat F, int T>
void direct_tile(const LinearArgs& args, const Rows<Act>& rows, const Task& task, float* acc) {
  constexpr int kGroups = Act::direct_groups(T);
  const int64_t cells = cells_of(args.k);
  const int64_t groups = (task.rows + 15) / 16;
  for (int64_t g = 0; g < groups; g += kGroups) {
    GroupView group[kGroups];
    for (int64_t r = 0; r < kGroups; ++r)
      group[r] = group_view<F>(args.packed, task.row / 16 + smaller(g + r, groups - 1), cells);
    if constexpr (Format<F>::kQuant) {
      direct_quant<Act, F, T, kGroups>(group, cells, rows, acc + g * 16);
    } else {
      direct_dense<Act, F, T, kGroups>(group, cells, rows, acc + g * 16);
    }
  }
}

template <class Act, WeightFormat F, int T = Act::kDirectTokens>
void direct_tile_of(int64_t tokens, const LinearArgs& args, const Rows<Act>& rows, const Task& task,
                    float* acc) {
  if constexpr (T > 0) {
    if (tokens == T) return direct_tile<Act, F, T>(args, rows, task, acc);
    direct_tile_of<Act, F, T - 1>(tokens, args, rows, task, acc);
  }
}

template <class Act, WeightFormat F>
void direct_task(const LinearArgs& args, const Rows<Act>& x, const Task& task, float* acc) {
  const int64_t tiles = (task.tokens + Act::kDirectTokens - 1) / Act::kDirectTokens;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t begin = task.tokens * i / tiles;
    const int64_t n = task.tokens * (i + 1) / tiles - begin;
    direct_tile_of<Act, F>(n, args, x.at(task.token + begin, 0, 0), task, acc + begin * kAccStride);
  }
}

template <class Act, WeightFormat F>
[[gnu::noinline]] void fill_scales(const GroupView& group, int64_t cell, int64_t cells, float* out) {
  using Fmt = Format<F>;
  for (int64_t c = cell; c < cell + cells; ++c) {
    const Scales scales = decode_scales<F>(group, c);
    for (int s = 0; s < Fmt::kSubs; ++s) {
      vstore(out, scales.scale[s]);
      if constexpr (Fmt::kMin) vstore(out + 16, scales.min[s]);
      out += Fmt::kMin ? 32 : 16;
    }
  }
}

template <class Act, WeightFormat F>
[[gnu::noinline]] void fill_panel(const GroupView& group, int64_t cell, int64_t cells, uint8_t* out) {
  constexpr int kUnit = Act::template kUnitSteps<F>;
  for (int64_t c = cell; c < cell + cells; ++c) {
    const uint8_t* at = group.cells + c * Format<F>::kCellBytes;
    for (int64_t b = 0; b < Format<F>::kCellBytes; b += 64) __builtin_prefetch(at + kPrefetchBytes + b);
#pragma GCC unroll 16
    for (int unit = 0; unit < kUnits<Act, F>; ++unit) {
      typename Act::W w[kUnit];
      Act::template decode<F>(at, unit, w);
      for (int i = 0; i < kUnit; ++i) Act::store(out + (unit * kUnit + i) * 64, w[i]);
    }
    out += 32 / Act::kCols * 64;
  }
}

// T or fewer tokens against a panel.
template <class Act, WeightFormat F, int T = Act::kTileTokens>
void panel_tile(const Panel& panel, const Rows<Act>& rows, int64_t tokens, float* acc) {
  if constexpr (T > 0) {
    if (tokens < T) return panel_tile<Act, F, T - 1>(panel, rows, tokens, acc);
    if constexpr (Format<F>::kQuant) {
      tile_quant<Act, Format<F>::kSubCols, Format<F>::kMin, T, Act::kTileGroups>(panel, rows, acc);
    } else {
      tile_dense<Act, T, Act::kTileGroups>(panel, rows, acc);
    }
  }
}

// Bytes that the next panel will be made of: fetched while this one is multiplied.
struct Upcoming {
  const uint8_t* at;
  int64_t bytes;
};

// All tokens of a task against a panel, in tiles of nearly equal size.
template <class Act, WeightFormat F>
void panel_tiles(const Panel& panel, const Rows<Act>& x, int64_t tokens, const Upcoming& next, float* acc) {
  const int64_t tiles = (tokens + Act::kTileTokens - 1) / Act::kTileTokens;
  for (int64_t i = 0; i < tiles; ++i) {
    for (int64_t b = next.bytes * i / tiles / 64 * 64; b < next.bytes * (i + 1) / tiles; b += 64)
      __builtin_prefetch(next.at + b, 0, 2);
    const int64_t begin = tokens * i / tiles;
    const int64_t n = tokens * (i + 1) / tiles - begin;
    panel_tile<Act, F>(panel, x.at(begin, 0, 0), n, acc + begin * kAccStride);
  }
}

// Groups [first, first + groups) of rows from `cell` on: unpacked to scratch, or where they are.
template <class Act, WeightFormat F>
Panel make_panel(const LinearArgs& args, int64_t first, int64_t groups, int64_t cell,
                 const Scratch& scratch) {
  using Fmt = Format<F>;
  const int64_t cells = cells_of(args.k);
  Panel panel{};
  panel.cells = smaller(Act::kChunkCells, cells - cell);
  panel.first = cell == 0;
  for (int64_t g = 0; g < groups; ++g) {
    const GroupView group = group_view<F>(args.packed, first + g, cells);
    panel.scales[g] = scratch.scales + g * kPanelScales;
    if constexpr (Fmt::kQuant)
      fill_scales<Act, F>(group, cell, panel.cells, scratch.scales + g * kPanelScales);
    if constexpr (Act::template kInPlace<F>) {
      panel.weights[g] = group.cells + cell * Fmt::kCellBytes;
    } else {
      uint8_t* to = scratch.panels + g * kPanelBytes;
      fill_panel<Act, F>(group, cell, panel.cells, to);
      panel.weights[g] = to;
    }
  }
  return panel;
}

template <class Act, WeightFormat F>
void panel_task(const LinearArgs& args, const Rows<Act>& x, const Task& task, const Scratch& scratch) {
  using Fmt = Format<F>;
  const int64_t cells = cells_of(args.k);
  const int64_t groups = (task.rows + 15) / 16;
  for (int64_t cell = 0; cell < cells; cell += Act::kChunkCells) {
    Panel panel = make_panel<Act, F>(args, task.row / 16, groups, cell, scratch);
    const int64_t next_cell = cell + Act::kChunkCells < cells ? cell + Act::kChunkCells : 0;
    const int64_t next_cells = smaller(Act::kChunkCells, cells - next_cell);
    const Rows<Act> rows = x.at(task.token, cell, Fmt::kSubs);
    for (int64_t g = 0; g < groups; g += Act::kTileGroups) {
      const int64_t next_group = task.row / 16 + g + (next_cell == 0 ? 2 : 0);
      const Upcoming next{group_view<F>(args.packed, next_group, cells).cells + next_cell * Fmt::kCellBytes,
                          next_cells * Fmt::kCellBytes};
      Panel part = panel;
      for (int64_t r = 0; r < Act::kTileGroups; ++r) {  // a missing second group: see direct_tile
        part.weights[r] = panel.weights[smaller(g + r, groups - 1)];
        part.scales[r] = panel.scales[smaller(g + r, groups - 1)];
      }
      panel_tiles<Act, F>(part, rows, task.tokens, next, scratch.acc + g * 16);
    }
  }
}

template <class Act, WeightFormat F>
void run_tasks(const LinearArgs& args, int64_t begin, int64_t end, std::byte* scratch_bytes) {
  const LinearPreparation p = preparation_for<F>(args.x_bf16, args.k);
  const Prepared prepared = place_of(p, args);
  const bool copied = p.copy_f32 || p.copy_padded;
  const Rows<Act> x{static_cast<const typename Act::X*>(copied ? prepared.copy : args.x),
                    copied ? prepared.stride : args.x_stride, prepared.sums, prepared.sums_stride};
  const Scratch scratch = divide(scratch_bytes);
  for (int64_t i = begin; i < end; ++i) {
    const Task task = task_at(args, i);
    if (Act::kPanels && args.m > Act::kDirectTokens) {
      if constexpr (Act::kPanels) panel_task<Act, F>(args, x, task, scratch);
    } else {
      direct_task<Act, F>(args, x, task, scratch.acc);
    }
    store_out(args, scratch.acc, task.row, task.rows, task.token, task.tokens);
  }
}

template <WeightFormat F>
void run_format(const LinearArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  constexpr bool kBf16 = kHasBf16 && F != WeightFormat::kF32 && F != WeightFormat::kF16;
  if constexpr (kBf16) {
    if (args.x_bf16) return run_tasks<ActBf16, F>(args, begin, end, scratch);
  }
  run_tasks<ActF32, F>(args, begin, end, scratch);
}

struct FormatEntry {
  LinearPreparation (*preparation)(bool x_bf16, int64_t k);
  void (*run)(const LinearArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};
template <WeightFormat F>
constexpr FormatEntry kEntry{preparation_for<F>, run_format<F>};

const FormatEntry& entry_of(WeightFormat format) {
  using enum WeightFormat;
  switch (format) {
    case kF32: return kEntry<kF32>;
    case kF16: return kEntry<kF16>;
    case kBF16: return kEntry<kBF16>;
    case kQ4_0: return kEntry<kQ4_0>;
    case kQ4_1: return kEntry<kQ4_1>;
    case kQ5_0: return kEntry<kQ5_0>;
    case kQ5_1: return kEntry<kQ5_1>;
    case kQ8_0: return kEntry<kQ8_0>;
    case kQ2_K: return kEntry<kQ2_K>;
    case kQ3_K: return kEntry<kQ3_K>;
    case kQ4_K: return kEntry<kQ4_K>;
    case kQ5_K: return kEntry<kQ5_K>;
    case kQ6_K: return kEntry<kQ6_K>;
    case kIQ4_NL: return kEntry<kIQ4_NL>;
  }
  return kEntry<kF32>;
}

LinearPreparation preparation(WeightFormat format, bool x_bf16, int64_t k) {
  return entry_of(format).preparation(x_bf16, k);
}

void run(const LinearArgs& args, int64_t task_begin, int64_t task_end, std::byte* scratch) {
  entry_of(args.format).run(args, task_begin, task_end, scratch);
}

}  // namespace

const LinearKernels kLinearKernels{preparation, prepare, run};

}  // namespace pegainfer::cpu::PEGA_ISA
