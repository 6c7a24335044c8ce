#include "checkpoint/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/json.h"
#include "checkpoint/checked.h"
#include "checkpoint/names.h"
#include "checkpoint/tensor_files.h"

namespace pegainfer {
namespace {

constexpr size_t kMaxRank = 16;
constexpr size_t kMaxTensors = 1'000'000;
constexpr size_t kMaxJsonDepth = 128;
constexpr uint64_t kLengthBytes = 8;

struct Dtype {
  std::string_view name;
  uint32_t bits;
  std::optional<WeightFormat> format;
};

constexpr std::array<Dtype, 22> kDtypes{{
    {"F32", 32, WeightFormat::kF32},
    {"F16", 16, WeightFormat::kF16},
    {"BF16", 16, WeightFormat::kBF16},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"I32", 32, {}},
    {"U32", 32, {}},
    {"I64", 64, {}},
    {"U64", 64, {}},
    {"F64", 64, {}},
    {"C64", 64, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
}};

std::string_view to_view(boost::json::string_view s) { return {s.data(), s.size()}; }

std::optional<uint64_t> as_u64(const json::Value& v) {
  if (v.is_uint64()) return v.get_uint64();
  if (v.is_int64() && v.get_int64() >= 0) return static_cast<uint64_t>(v.get_int64());
  return std::nullopt;
}

// One entry of the header being turned into a TensorInfo; it knows how to complain.
class Entry {
 public:
  Entry(const File& file, std::string_view name, const json::Value& value)
      : file_(file), name_(name), value_(value) {}

  Result<TensorInfo> parse(uint64_t data_begin) const {
    if (const std::string_view fault = name_fault(name_, kMaxTensorNameBytes); !fault.empty()) {
      return error(fmt::format("its name {} (1 to {} bytes of UTF-8 without control characters)", fault,
                               kMaxTensorNameBytes));
    }
    const json::Object* object = value_.if_object();
    if (object == nullptr) return error(fmt::format("is {}, expected an object", json::kind_name(value_)));
    TensorInfo info;
    info.name = name_;
    ASSIGN_OR_RETURN(const Dtype dtype, parse_dtype(*object));
    info.dtype_name = dtype.name;
    info.supported = dtype.format.has_value();
    info.format = dtype.format.value_or(WeightFormat::kF32);
    ASSIGN_OR_RETURN(const uint64_t bytes, parse_shape(*object, dtype, info.shape));
    RETURN_IF_ERROR(parse_offsets(*object, data_begin, info));
    if (info.bytes != bytes) {
      return error(fmt::format("\"data_offsets\" span {} bytes, but {} of this shape takes {}", info.bytes,
                               dtype.name, bytes));
    }
    return info;
  }

 private:
  [[nodiscard]] Error error(std::string_view what) const {
    return invalid_argument(fmt::format("{}: tensor {}: {}", file_.path(), quote_name(name_), what));
  }

  [[nodiscard]] Result<Dtype> parse_dtype(const json::Object& object) const {
    const json::Value* v = json::find(object, "dtype");
    if (v == nullptr || !v->is_string()) return error("\"dtype\" is missing or not a string");
    const std::string_view text = to_view(v->get_string());
    for (const Dtype& dtype : kDtypes) {
      if (dtype.name == text) return dtype;
    }
    return error(fmt::format("dtype {} is unknown (F32, F16, BF16, ...)", quote_name(text)));
  }

  // Bytes of the whole tensor. The product runs from the outermost dimension on, as in the reference: a
  // leading zero keeps it from overflowing.
  [[nodiscard]] Result<uint64_t> parse_shape(const json::Object& object, const Dtype& dtype,
                                             std::vector<int64_t>& shape) const {
    const json::Value* v = json::find(object, "shape");
    if (v == nullptr || !v->is_array()) return error("\"shape\" is missing or not an array");
    const json::Array& dims = v->get_array();
    if (dims.size() > kMaxRank) {
      return error(fmt::format("\"shape\" has {} dimensions, at most {} are allowed", dims.size(), kMaxRank));
    }
    std::optional<uint64_t> elements = 1;
    for (const json::Value& item : dims) {
      const std::optional<uint64_t> dim = as_u64(item);
      if (!dim) return error("\"shape\" holds something else than integers from 0");
      elements = checked::mul(*elements, *dim);
      if (!elements) return error("\"shape\" overflows 64 bits");
      constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
      shape.push_back(static_cast<int64_t>(std::min(*dim, kLargest)));
    }
    const std::optional<uint64_t> bits = checked::mul(*elements, dtype.bits);
    if (!bits) return error("\"shape\" overflows 64 bits");
    if (*bits % 8 != 0) return error(fmt::format("{} {} elements end inside a byte", *elements, dtype.name));
    return *bits / 8;
  }

  [[nodiscard]] Status parse_offsets(const json::Object& object, uint64_t data_begin,
                                     TensorInfo& info) const {
    const json::Value* v = json::find(object, "data_offsets");
    if (v == nullptr || !v->is_array() || v->get_array().size() != 2) {
      return error("\"data_offsets\" is missing or not an array of two integers");
    }
    const std::optional<uint64_t> begin = as_u64(v->get_array()[0]);
    const std::optional<uint64_t> end = as_u64(v->get_array()[1]);
    if (!begin || !end) return error("\"data_offsets\" holds something else than integers from 0");
    if (*begin > *end) return error(fmt::format("\"data_offsets\" run backwards: [{}, {}]", *begin, *end));
    if (*end > file_.size() - data_begin) {
      return error(
          fmt::format("\"data_offsets\" end at {}, but the file holds {} bytes of data: it is truncated",
                      *end, file_.size() - data_begin));
    }
    info.offset = data_begin + *begin;
    info.bytes = *end - *begin;
    return ok_status();
  }

  const File& file_;
  std::string_view name_;
  const json::Value& value_;
};

Status check_metadata(const File& file, const json::Value& value) {
  if (value.is_null()) return ok_status();
  const json::Object* object = value.if_object();
  if (object == nullptr) {
    return invalid_argument(
        fmt::format("{}: \"__metadata__\" is {}, expected an object", file.path(), json::kind_name(value)));
  }
  for (const auto& member : *object) {
    if (member.value().is_string()) continue;
    return invalid_argument(fmt::format("{}: \"__metadata__\": {} is {}, expected a string", file.path(),
                                        quote_name(to_view(member.key())), json::kind_name(member.value())));
  }
  return ok_status();
}

// The data must be tiled: from its first byte to the last of the file, no holes, no overlaps.
Status check_layout(const File& file, uint64_t data_begin, std::vector<TensorInfo>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  uint64_t expected = data_begin;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.offset != expected) {
      return invalid_argument(fmt::format("{}: tensor {}: its data begins at {}, expected {}: there is {}",
                                          file.path(), quote_name(tensor.name), tensor.offset - data_begin,
                                          expected - data_begin,
                                          tensor.offset > expected ? "a hole" : "an overlap"));
    }
    expected += tensor.bytes;
  }
  if (expected != file.size()) {
    return invalid_argument(fmt::format("{}: {} bytes, but its tensors end at byte {}: {} surplus bytes",
                                        file.path(), file.size(), expected, file.size() - expected));
  }
  return ok_status();
}

Result<std::string> read_header(const File& file) {
  if (file.size() < kLengthBytes) {
    return invalid_argument(
        fmt::format("{}: {} bytes, too short for a safetensors file", file.path(), file.size()));
  }
  std::array<std::byte, kLengthBytes> raw{};
  RETURN_IF_ERROR(file.read(0, raw));
  uint64_t length = 0;
  std::memcpy(&length, raw.data(), raw.size());
  static_assert(std::endian::native == std::endian::little);
  if (length > kMaxSafetensorsHeader) {
    return invalid_argument(fmt::format("{}: safetensors header of {} bytes, at most {} are allowed",
                                        file.path(), length, kMaxSafetensorsHeader));
  }
  if (length > file.size() - kLengthBytes) {
    return invalid_argument(fmt::format("{}: safetensors header of {} bytes in a file of {}: it is truncated",
                                        file.path(), length, file.size()));
  }
  std::string header(length, '\0');
  RETURN_IF_ERROR(file.read(kLengthBytes, std::as_writable_bytes(std::span(header.data(), header.size()))));
  return header;
}

}  // namespace

Result<std::vector<TensorInfo>> read_safetensors(const File& file, int file_index) {
  ASSIGN_OR_RETURN(const std::string header, read_header(file));
  Result<json::Value> parsed = json::parse(header, {.max_depth = kMaxJsonDepth});
  if (!parsed) {
    return invalid_argument(fmt::format("{}: safetensors header: {}", file.path(), parsed.error().message));
  }
  const json::Object* object = parsed->if_object();
  if (object == nullptr) {
    return invalid_argument(fmt::format("{}: safetensors header is {}, expected an object", file.path(),
                                        json::kind_name(*parsed)));
  }
  if (object->size() > kMaxTensors) {
    return invalid_argument(
        fmt::format("{}: {} tensors, at most {} are allowed", file.path(), object->size(), kMaxTensors));
  }
  const uint64_t data_begin = kLengthBytes + header.size();
  std::vector<TensorInfo> tensors;
  tensors.reserve(object->size());
  for (const auto& member : *object) {
    const std::string_view name = to_view(member.key());
    if (name == "__metadata__") {
      RETURN_IF_ERROR(check_metadata(file, member.value()));
      continue;
    }
    ASSIGN_OR_RETURN(TensorInfo info, Entry(file, name, member.value()).parse(data_begin));
    info.file = file_index;
    tensors.push_back(std::move(info));
  }
  RETURN_IF_ERROR(check_layout(file, data_begin, tensors));
  return tensors;
}

Result<std::unique_ptr<TensorSource>> open_safetensors(const std::string& path) {
  ASSIGN_OR_RETURN(File file, File::open(path));
  ASSIGN_OR_RETURN(std::vector<TensorInfo> tensors, read_safetensors(file, 0));
  std::vector<File> files;
  files.push_back(std::move(file));
  return FileTensorSource::create(std::move(files), std::move(tensors));
}

}  // namespace pegainfer
