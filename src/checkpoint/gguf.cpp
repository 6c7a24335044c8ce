#include "checkpoint/gguf.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "checkpoint/checked.h"
#include "checkpoint/gguf_types.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

constexpr std::array<char, 4> kMagic{'G', 'G', 'U', 'F'};
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDims = 4;
// Well above any real file (the largest have about 2,000), and small enough that the descriptions themselves
// stay within the 16 MiB.
constexpr uint64_t kMaxTensors = 65'536;
constexpr uint64_t kMaxMetadata = 65'536;
constexpr uint64_t kMaxKeyBytes = 65'535;  // the specification's
constexpr size_t kChunk = size_t{256} << 10;

// Reads the header front to back through a window, and knows how much of the file is left.
class Cursor {
 public:
  explicit Cursor(const File& file) : file_(file) {}

  [[nodiscard]] uint64_t position() const { return position_; }
  [[nodiscard]] uint64_t remaining() const { return file_.size() - position_; }
  [[nodiscard]] Error error(std::string_view what) const {
    return invalid_argument(fmt::format("{}: {}", file_.path(), what));
  }

  Status bytes(std::span<std::byte> out, std::string_view what) {
    if (out.size() > remaining()) {
      return error(fmt::format("the file ends at byte {} inside {}: it is truncated", file_.size(), what));
    }
    if (out.size() >= kChunk) {  // large arrays go straight to their place
      RETURN_IF_ERROR(file_.read(position_, out));
      position_ += out.size();
      return ok_status();
    }
    size_t done = 0;
    while (done < out.size()) {
      if (position_ < window_begin_ || position_ >= window_begin_ + window_.size()) RETURN_IF_ERROR(fill());
      const size_t at = position_ - window_begin_;
      const size_t n = std::min(out.size() - done, window_.size() - at);
      std::memcpy(out.data() + done, window_.data() + at, n);
      done += n;
      position_ += n;
    }
    return ok_status();
  }

  template <class T>
  Result<T> value(std::string_view what) {
    static_assert(std::endian::native == std::endian::little);
    std::array<std::byte, sizeof(T)> raw{};
    RETURN_IF_ERROR(bytes(raw, what));
    return std::bit_cast<T>(raw);
  }

  Result<std::string> string(std::string_view what, uint64_t max_bytes) {
    ASSIGN_OR_RETURN(const uint64_t length, value<uint64_t>(what));
    if (length > max_bytes) {
      return error(fmt::format("{} is {} bytes long, at most {} are allowed", what, length, max_bytes));
    }
    if (length > remaining()) {
      return error(fmt::format("{} is {} bytes long, but the file has {} left: it is broken or truncated",
                               what, length, remaining()));
    }
    std::string out(length, '\0');
    RETURN_IF_ERROR(bytes(std::as_writable_bytes(std::span(out.data(), out.size())), what));
    return out;
  }

 private:
  Status fill() {
    window_.resize(static_cast<size_t>(std::min<uint64_t>(kChunk, remaining())));
    window_begin_ = position_;
    return file_.read(position_, window_);
  }

  const File& file_;
  uint64_t position_ = 0;
  uint64_t window_begin_ = 0;
  std::vector<std::byte> window_;
};

template <class T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;

template <class T>
Result<GgufValue> scalar(Cursor& in, std::string_view what) {
  ASSIGN_OR_RETURN(const T v, in.value<T>(what));
  if constexpr (kIsFloat<T>) {
    return GgufValue(static_cast<double>(v));
  } else if constexpr (std::is_signed_v<T>) {
    return GgufValue(static_cast<int64_t>(v));
  } else {
    return GgufValue(static_cast<uint64_t>(v));
  }
}

Result<bool> read_bool(Cursor& in, std::string_view what) {
  ASSIGN_OR_RETURN(const uint8_t v, in.value<uint8_t>(what));
  if (v > 1) return in.error(fmt::format("{} is {}, a boolean is 0 or 1", what, v));
  return v == 1;
}

uint64_t min_element_bytes(GgufType type) {
  constexpr std::array<uint64_t, 13> kBytes{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return kBytes.at(static_cast<size_t>(type));
}

Result<GgufType> read_type(Cursor& in, std::string_view what) {
  ASSIGN_OR_RETURN(const uint32_t v, in.value<uint32_t>(what));
  if (v > static_cast<uint32_t>(GgufType::kFloat64)) {
    return in.error(fmt::format("{} has type {}, known are 0 to 12", what, v));
  }
  return static_cast<GgufType>(v);
}

Result<GgufValue> read_array(Cursor& in, std::string_view what) {
  ASSIGN_OR_RETURN(const GgufType type, read_type(in, what));
  ASSIGN_OR_RETURN(const uint64_t count, in.value<uint64_t>(what));
  if (type == GgufType::kArray) return in.error(fmt::format("{} is an array of arrays", what));
  if (count > in.remaining() / min_element_bytes(type)) {
    return in.error(fmt::format("{} has {} elements of {}, but the file has {} bytes left", what, count,
                                name_of(type), in.remaining()));
  }
  if (type == GgufType::kString) {
    std::vector<std::string> out;
    out.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(std::string item, in.string(what, std::numeric_limits<uint64_t>::max()));
      out.push_back(std::move(item));
    }
    return GgufValue(std::move(out));
  }
  GgufNumbers out{type, std::vector<std::byte>(count * min_element_bytes(type))};
  RETURN_IF_ERROR(in.bytes(out.bytes, what));
  const bool bad_bool = type == GgufType::kBool && std::any_of(out.bytes.begin(), out.bytes.end(),
                                                               [](std::byte b) { return b > std::byte{1}; });
  if (bad_bool) return in.error(fmt::format("{} holds a boolean that is neither 0 nor 1", what));
  return GgufValue(std::move(out));
}

Result<GgufValue> read_value(Cursor& in, GgufType type, std::string_view what) {
  switch (type) {
    case GgufType::kUint8: return scalar<uint8_t>(in, what);
    case GgufType::kInt8: return scalar<int8_t>(in, what);
    case GgufType::kUint16: return scalar<uint16_t>(in, what);
    case GgufType::kInt16: return scalar<int16_t>(in, what);
    case GgufType::kUint32: return scalar<uint32_t>(in, what);
    case GgufType::kInt32: return scalar<int32_t>(in, what);
    case GgufType::kFloat32: return scalar<float>(in, what);
    case GgufType::kUint64: return scalar<uint64_t>(in, what);
    case GgufType::kInt64: return scalar<int64_t>(in, what);
    case GgufType::kFloat64: return scalar<double>(in, what);
    case GgufType::kBool: {
      ASSIGN_OR_RETURN(const bool v, read_bool(in, what));
      return GgufValue(v);
    }
    case GgufType::kString: {
      ASSIGN_OR_RETURN(std::string v, in.string(what, std::numeric_limits<uint64_t>::max()));
      return GgufValue(std::move(v));
    }
    case GgufType::kArray: return read_array(in, what);
  }
  return in.error("unreachable");
}

struct Header {
  uint32_t version = 0;
  uint64_t num_tensors = 0;
  uint64_t num_metadata = 0;
};

Result<Header> read_header(Cursor& in) {
  ASSIGN_OR_RETURN(const auto magic, (in.value<std::array<char, 4>>("the magic")));
  if (magic != kMagic) return in.error("not a GGUF file: it does not begin with \"GGUF\"");
  Header header;
  ASSIGN_OR_RETURN(header.version, in.value<uint32_t>("the version"));
  if ((header.version & 0xffffU) == 0 && header.version != 0) {
    return in.error("a big-endian GGUF file; only little-endian ones are read");
  }
  if (header.version != 2 && header.version != 3) {
    return in.error(fmt::format("GGUF version {}, supported are 2 and 3", header.version));
  }
  ASSIGN_OR_RETURN(header.num_tensors, in.value<uint64_t>("the tensor count"));
  ASSIGN_OR_RETURN(header.num_metadata, in.value<uint64_t>("the metadata count"));
  constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;
  constexpr uint64_t kMinMetadataBytes = 8 + 1 + 4 + 1;
  if (header.num_tensors > std::min(kMaxTensors, in.remaining() / kMinTensorBytes)) {
    return in.error(
        fmt::format("{} tensors in a file of {} bytes", header.num_tensors, in.position() + in.remaining()));
  }
  if (header.num_metadata > std::min(kMaxMetadata, in.remaining() / kMinMetadataBytes)) {
    return in.error(fmt::format("{} metadata entries in a file of {} bytes", header.num_metadata,
                                in.position() + in.remaining()));
  }
  return header;
}

Status read_metadata(Cursor& in, uint64_t count, GgufMetadata& metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(std::string key, in.string(fmt::format("metadata key {}", i), kMaxKeyBytes));
    if (const std::string_view fault = name_fault(key, kMaxKeyBytes); !fault.empty()) {
      return in.error(fmt::format("metadata key {} {}", i, fault));
    }
    const std::string what = "metadata " + quote_name(key);
    ASSIGN_OR_RETURN(const GgufType type, read_type(in, what));
    // The one key that the format itself reads has one type.
    if (key == "general.alignment" && type != GgufType::kUint32) {
      return in.error(fmt::format("{} is {}, expected UINT32", what, name_of(type)));
    }
    ASSIGN_OR_RETURN(GgufValue value, read_value(in, type, what));
    if (!metadata.add(std::move(key), std::move(value))) return in.error(what + " is there twice");
  }
  return ok_status();
}

Result<uint64_t> alignment_of(const Cursor& in, const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> value, metadata.integer("general.alignment"));
  if (!value) return kDefaultAlignment;
  const auto alignment = static_cast<uint64_t>(*value);
  if (!std::has_single_bit(alignment)) {
    return in.error(fmt::format("\"general.alignment\" is {}, expected a power of two", alignment));
  }
  return alignment;
}

// Shape and size of a tensor, outermost dimension first; the file has the innermost first.
Status read_shape(Cursor& in, const std::string& what, const GgufTensorType*& type, TensorInfo& info) {
  ASSIGN_OR_RETURN(const uint32_t num_dims, in.value<uint32_t>(what));
  if (num_dims > kMaxDims) {
    return in.error(fmt::format("{} has {} dimensions, at most {} are allowed", what, num_dims, kMaxDims));
  }
  info.shape.resize(num_dims);
  std::optional<uint64_t> elements = 1;
  for (uint32_t i = 0; i < num_dims; ++i) {
    ASSIGN_OR_RETURN(const int64_t dim, in.value<int64_t>(what));
    if (dim < 0) return in.error(fmt::format("{} has a dimension of {}", what, dim));
    info.shape[num_dims - 1 - i] = dim;
    elements = checked::mul(*elements, static_cast<uint64_t>(dim));
    if (!elements || *elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return in.error(fmt::format("{}: its shape overflows 63 bits", what));
    }
  }
  ASSIGN_OR_RETURN(const uint32_t id, in.value<uint32_t>(what));
  type = find_gguf_type(id);
  if (type == nullptr) return in.error(fmt::format("{} has unknown type {}", what, id));
  const uint64_t row = info.shape.empty() ? 1 : static_cast<uint64_t>(info.shape.back());
  if (row % type->block_elements != 0) {
    return in.error(fmt::format("{} has rows of {} elements, but {} comes in blocks of {}", what, row,
                                type->name, type->block_elements));
  }
  const std::optional<uint64_t> size = checked::mul(*elements / type->block_elements, type->block_bytes);
  if (!size) return in.error(fmt::format("{}: its size overflows 64 bits", what));
  info.bytes = *size;
  return ok_status();
}

Status read_tensors(Cursor& in, uint64_t count, std::vector<TensorInfo>& tensors) {
  tensors.reserve(count);
  std::unordered_set<std::string_view> names;
  names.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TensorInfo info;
    ASSIGN_OR_RETURN(info.name, in.string(fmt::format("the name of tensor {}", i), kMaxTensorNameBytes));
    if (const std::string_view fault = name_fault(info.name, kMaxTensorNameBytes); !fault.empty()) {
      return in.error(fmt::format("the name of tensor {} {}", i, fault));
    }
    const std::string what = "tensor " + quote_name(info.name);
    const GgufTensorType* type = nullptr;
    RETURN_IF_ERROR(read_shape(in, what, type, info));
    info.dtype_name = type->name;
    info.supported = type->format.has_value();
    info.format = type->format.value_or(WeightFormat::kF32);
    ASSIGN_OR_RETURN(info.offset, in.value<uint64_t>(what));
    tensors.push_back(std::move(info));  // never reallocates: the views below stay
    if (!names.insert(tensors.back().name).second) return in.error(what + " is there twice");
  }
  return ok_status();
}

// Data follows in the order of the descriptions, each tensor at the next aligned place, and ends the file
// (the last one's padding may be missing). Makes the offsets relative to the file.
Status place_tensors(const Cursor& in, uint64_t alignment, std::vector<TensorInfo>& tensors) {
  const uint64_t file_size = in.position() + in.remaining();
  const std::optional<uint64_t> data_begin = checked::align_up(in.position(), alignment);
  if (!data_begin) return in.error("the alignment overflows 64 bits");
  uint64_t expected = 0;         // relative to data_begin
  uint64_t end = in.position();  // of the last tensor, in the file
  uint64_t padded_end = *data_begin;
  for (TensorInfo& tensor : tensors) {
    const std::string what = "tensor " + quote_name(tensor.name);
    if (tensor.offset != expected) {
      return in.error(
          fmt::format("{}: offset {}, expected {} (alignment {})", what, tensor.offset, expected, alignment));
    }
    const std::optional<uint64_t> begin = checked::add(*data_begin, tensor.offset);
    const std::optional<uint64_t> stop = begin ? checked::add(*begin, tensor.bytes) : std::nullopt;
    const std::optional<uint64_t> next = stop ? checked::align_up(*stop, alignment) : std::nullopt;
    if (!next || *stop > file_size) {
      return in.error(
          fmt::format("{}: its {} bytes from {} on end behind the file's {} bytes: it is truncated", what,
                      tensor.bytes, begin.value_or(0), file_size));
    }
    tensor.offset = *begin;
    end = *stop;
    padded_end = *next;
    expected = padded_end - *data_begin;
  }
  if (file_size > std::max(end, padded_end)) {
    return in.error(fmt::format("{} bytes, but its tensors end at byte {}: {} surplus bytes", file_size,
                                padded_end, file_size - padded_end));
  }
  return ok_status();
}

}  // namespace

Result<GgufFile> read_gguf(const File& file) {
  Cursor in(file);
  ASSIGN_OR_RETURN(const Header header, read_header(in));
  GgufFile out;
  out.version = header.version;
  out.metadata = GgufMetadata(file.path());
  RETURN_IF_ERROR(read_metadata(in, header.num_metadata, out.metadata));
  ASSIGN_OR_RETURN(const uint64_t alignment, alignment_of(in, out.metadata));
  RETURN_IF_ERROR(read_tensors(in, header.num_tensors, out.tensors));
  RETURN_IF_ERROR(place_tensors(in, alignment, out.tensors));
  return out;
}

Result<bool> has_gguf_magic(const File& file) {
  if (file.size() < kMagic.size()) return false;
  std::array<std::byte, kMagic.size()> raw{};
  RETURN_IF_ERROR(file.read(0, raw));
  return std::memcmp(raw.data(), kMagic.data(), raw.size()) == 0;
}

}  // namespace pegainfer
