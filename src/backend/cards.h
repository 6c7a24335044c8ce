// Graphics cards as figures: so that a plan can be made for one that is not here.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct Card {
  std::string_view name;  // as a flag takes it
  std::string_view product;
  double memory_gib = 0;  // of what a program may use, as the driver reports it: less than the box says
  double gb_per_s = 0;    // nominal bandwidth of its memory, 10^9 bytes; 0: not known
  int num_sms = 0;

  [[nodiscard]] size_t memory_bytes() const { return static_cast<size_t>(memory_gib * 0x1p30); }
};

std::span<const Card> cards();
// Letters of either case; an error lists the names.
Result<Card> find_card(std::string_view name);
// A card of which the memory alone is known.
Card card_of_memory(size_t bytes);

// The CUDA backend on `card` as far as memory goes: its layout of weights, its workspace, and what the driver
// leaves of the card. It computes nothing.
std::unique_ptr<Backend> create_planning_backend(const Card& card);

}  // namespace pegainfer
