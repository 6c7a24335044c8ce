#include "backend/cards.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "backend/cuda_layout.h"
#include "backend/null/null_backend.h"

namespace pegainfer {
namespace {

// Bandwidths and multiprocessors from the makers' data sheets; memory as cudaMemGetInfo has it, rounded down.
constexpr std::array kCards{
    Card{"h100", "NVIDIA H100 SXM 80 GB", 79.1, 3350, 132},
    Card{"h100-pcie", "NVIDIA H100 PCIe 80 GB", 79.1, 2000, 114},
    Card{"h200", "NVIDIA H200 141 GB", 139.7, 4800, 132},
    Card{"b200", "NVIDIA B200 180 GB", 178.3, 8000, 148},
    Card{"a100-80", "NVIDIA A100 SXM 80 GB", 79.1, 2039, 108},
    Card{"a100-40", "NVIDIA A100 40 GB", 39.3, 1555, 108},
    Card{"l40s", "NVIDIA L40S 48 GB", 44.3, 864, 142},
    Card{"l4", "NVIDIA L4 24 GB", 21.9, 300, 58},
    Card{"a10", "NVIDIA A10 24 GB", 21.9, 600, 72},
    Card{"rtx3090", "GeForce RTX 3090 24 GB", 23.5, 936, 82},
    Card{"rtx4090", "GeForce RTX 4090 24 GB", 23.5, 1008, 128},
    Card{"rtx5070ti", "GeForce RTX 5070 Ti 16 GB", 15.4, 896, 70},
    Card{"rtx5080", "GeForce RTX 5080 16 GB", 15.4, 960, 84},
    Card{"rtx5090", "GeForce RTX 5090 32 GB", 31.3, 1792, 170},
    Card{"rtx6000-ada", "RTX 6000 Ada 48 GB", 47.3, 960, 142},
};

class PlanningBackend final : public NullBackend {
 public:
  explicit PlanningBackend(const Card& card) : card_(card) {}

  [[nodiscard]] std::string_view name() const override { return "cuda"; }
  [[nodiscard]] std::string description() const override {
    return fmt::format("{} ({:.1f} GiB)", card_.product, card_.memory_gib);
  }
  [[nodiscard]] DeviceMemory memory() const override {
    const size_t total = card_.memory_bytes();
    return {.total_bytes = total, .available_bytes = total - std::min(total, kCudaContextBytes)};
  }
  [[nodiscard]] bool prefers_graphs() const override { return true; }
  [[nodiscard]] int default_max_num_batched_tokens() const override { return kCudaMaxNumBatchedTokens; }
  [[nodiscard]] int head_rows() const override { return kCudaHeadRows; }
  [[nodiscard]] size_t reserve_bytes(const StepLimits& limits) const override {
    return cuda_workspace(limits, card_.num_sms).total();
  }
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override {
    return cuda_packed_bytes(format, rows, cols);
  }

 private:
  Card card_;
};

}  // namespace

std::span<const Card> cards() { return kCards; }

Result<Card> find_card(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string names;
  for (const Card& card : kCards) {
    if (card.name == lower) return card;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", card.name);
  }
  return invalid_argument(fmt::format("--gpu {}: not a card we know; known are {}", name, names), "--gpu");
}

Card card_of_memory(size_t bytes) {
  constexpr int kUsualSms = 132;
  return {.name = "",
          .product = "a GPU",
          .memory_gib = static_cast<double>(bytes) / 0x1p30,
          .gb_per_s = 0,
          .num_sms = kUsualSms};
}

std::unique_ptr<Backend> create_planning_backend(const Card& card) {
  return std::make_unique<PlanningBackend>(card);
}

}  // namespace pegainfer
