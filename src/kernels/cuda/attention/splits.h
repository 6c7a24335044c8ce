// How a decoding sequence's context is cut into splits, so that few sequences still fill the device, and the
// sizes that follow: constexpr, for the host and the device.
//
// A split is a run of tiles of 16 positions. How many splits a sequence gets depends on its own context and
// window, on the number of sequences in the batch (a bucket's, under a graph), on the KV heads and the
// device's SMs: not on the other sequences' contexts. So within one num_seqs a row's bits are its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pegainfer::cuda {

inline constexpr int kTileTokens = 16;  // divides every block size
inline constexpr int kSplitUnit = 4;    // tiles: one for each warp of a decode CTA
inline constexpr int kWholeUnits = 4;   // a context of so many is done sooner than its splits would meet
inline constexpr int kMinUnits = 2;     // of a split: 64 positions a split cost more to join than they save
inline constexpr int kMaxSplitUnits = 16;  // beyond 1024 positions a split costs balance and gains little
inline constexpr int kMaxChunks = 2048;    // splits of a step, which bounds the partial results
inline constexpr int kMaxSplits = 256;     // of a sequence
inline constexpr int kMaxGroupHeads = 8;   // query heads a decode CTA computes: the columns of an mma

// CTAs of the decode kernel on an SM. One has enough loads under way, and leaves room for the product behind,
// whose weights come meanwhile; beyond head_dim 128 a CTA has only two warps.
constexpr int ctas_per_sm(int head_dim, int num_seqs) { return head_dim <= 128 || num_seqs <= 8 ? 1 : 2; }

// Splits a step of num_seqs sequences can have.
constexpr int max_splits(int num_seqs) {  // of one sequence
  const int most = kMaxChunks / (num_seqs > 0 ? num_seqs : 1);
  return most > kMaxSplits ? kMaxSplits : most > 1 ? most : 1;
}
constexpr int max_chunks(int num_seqs) { return num_seqs * max_splits(num_seqs); }

struct SplitRule {
  int num_seqs = 0;
  int num_kv_heads = 0;
  int num_sms = 0;
  int window = 0;
  int max_units = kMaxSplitUnits;
  int ctas_per_sm = 1;
};

struct ContextTiles {  // [begin, end) of 16 positions
  int begin = 0;
  int end = 0;
};
// Those that the last position of `context` sees.
constexpr ContextTiles seen_tiles(int context, int window) {
  const int first = window > 0 && context > window ? context - window : 0;
  return {first / kTileTokens, (context + kTileTokens - 1) / kTileTokens};
}

// Splits of a context: as many as fill the device once if every sequence had this context, each of 128
// positions or more; short ones stay whole. Contexts too long for that are cut into about 1024 positions
// (2048 for a single one), 1536 at most, unless that makes too many: just beyond 1024 two halves would take
// longer than one whole. At least 1.
constexpr int num_splits(int context, const SplitRule& rule) {
  const ContextTiles tiles = seen_tiles(context, rule.window);
  const int64_t units = (tiles.end - tiles.begin + kSplitUnit - 1) / kSplitUnit;
  if (units <= kWholeUnits) return 1;
  const int64_t items = int64_t{rule.num_seqs} * rule.num_kv_heads;  // of whole contexts
  const int64_t slots = int64_t{rule.num_sms} * rule.ctas_per_sm;
  const int64_t fit = slots / (items > 0 ? items : 1);
  // A single sequence is never out of balance.
  const int64_t longest = rule.num_seqs == 1 ? 2 * rule.max_units : rule.max_units;
  int64_t length = fit > 0 ? (units + fit - 1) / fit : units;
  length = length < kMinUnits ? kMinUnits : length;
  int64_t splits = (units + length - 1) / length;
  if (fit == 0 || length > longest) {
    const int64_t about = (units + longest / 2) / longest;
    splits = about > 1 ? about : 1;
  }
  const int64_t most = max_splits(rule.num_seqs);
  return static_cast<int>(splits < most ? splits : most);
}

// The first tile of split i of n; whole units, as even as they can be.
constexpr int split_begin(ContextTiles tiles, int i, int n) {
  const int units = (tiles.end - tiles.begin + kSplitUnit - 1) / kSplitUnit;
  const int tile = tiles.begin + units * i / n * kSplitUnit;
  return tile < tiles.end ? tile : tiles.end;
}

// One split of a sequence, in the list that plan_decode() makes.
struct alignas(16) DecodeChunk {
  int sequence = 0;
  int row = 0;      // of q and out
  int context = 0;  // positions
  int split = 0;
  int splits = 0;  // of this sequence; they follow one another in the list
  int tile_begin = 0;
  int tile_end = 0;
  int unused = 0;
};

// Query heads of a KV head go through the decode kernel in even parts of at most 8.
constexpr int head_parts(int group) { return (group + kMaxGroupHeads - 1) / kMaxGroupHeads; }

// The attention group's scratch. Offsets of what must be zero between launches never move.
struct AttentionScratch {
  static constexpr size_t kPrefillCounters = 0;              // 2 words, zero between launches
  static constexpr size_t kTaken = 64;                       // decode's, likewise
  static constexpr size_t kHeaders = 128;                    // words: chunks of the step; of a window
  static constexpr size_t kCounters = 256;                   // arrivals, zero between launches
  static constexpr size_t kNumCounters = size_t{64} * 1024;  // sequences x KV heads x parts
  static constexpr size_t kChunks = kCounters + kNumCounters * 4;

  size_t window_chunks = 0;  // the list of layers with a window
  size_t partials = 0;
  size_t bytes = 0;

  // For a step of up to num_seqs sequences; heads 0: the lists alone.
  static constexpr AttentionScratch of(int num_seqs, int num_heads, int head_dim) {
    const auto chunks = static_cast<size_t>(num_seqs > kMaxChunks ? num_seqs : kMaxChunks);
    AttentionScratch s;
    s.window_chunks = kChunks + chunks * sizeof(DecodeChunk);
    s.partials = s.window_chunks + chunks * sizeof(DecodeChunk);
    s.bytes = s.partials + chunks * static_cast<size_t>(num_heads) * static_cast<size_t>(head_dim + 2) * 4;
    s.bytes = (s.bytes + 255) / 256 * 256;
    return s;
  }
};

}  // namespace pegainfer::cuda
