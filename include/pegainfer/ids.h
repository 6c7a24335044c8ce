// Strong types for identifiers. Token ids stay plain: they are bulk data that crosses to a device in spans.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace pegainfer {

template <class Tag, class Rep = int32_t>
struct Id {
  Rep value{};
  friend auto operator<=>(const Id&, const Id&) = default;  // NOLINT(modernize-use-nullptr): its "0"
};

using TokenId = int32_t;
using RequestId = Id<struct RequestTag, uint64_t>;
using BlockId =
    Id<struct BlockTag, int32_t>;  // a block of the KV cache; block 0 is the null block and never handed out

}  // namespace pegainfer

template <class Tag, class Rep>
struct std::hash<pegainfer::Id<Tag, Rep>> {
  size_t operator()(const pegainfer::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
