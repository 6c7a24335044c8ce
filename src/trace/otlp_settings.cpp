#include "trace/otlp_settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace pegainfer::trace {
namespace {

constexpr const char* kFlag = "--otlp-traces-endpoint";
constexpr std::string_view kPath = "/v1/traces";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* digits = text.data() + i + 1;
      const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
      if (error == std::errc() && end == digits + 2) {
        out += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

// key=value,key=value with percent-encoded values: how headers and resource attributes are written.
Result<OtlpAttributes> parse_list(std::string_view text, const char* variable) {
  OtlpAttributes out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    // The value may be a secret: it stands in no message.
    if (equals == std::string_view::npos || equals == 0)
      return invalid_argument(fmt::format("{} must be key=value,key=value", variable), variable);
    out.emplace_back(trim(item.substr(0, equals)), percent_decoded(trim(item.substr(equals + 1))));
  }
  return out;
}

// The URL, with a path.
Result<std::string> complete_url(std::string url, const char* what, bool is_base) {
  const bool plain = url.starts_with("http://");
  if (!plain && !url.starts_with("https://"))
    return invalid_argument(
        fmt::format("{}: {} must begin with http:// or https://", what, without_password(url)), what);
  const size_t path = url.find('/', plain ? 7 : 8);
  const bool no_path = path == std::string::npos || path + 1 == url.size();
  if (!no_path && !is_base) return url;
  while (url.ends_with('/')) url.pop_back();
  url += kPath;
  return url;
}

Result<std::optional<std::string>> find_url(const std::string& endpoint, const Environment& environment) {
  constexpr const char* kTraces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  constexpr const char* kBase = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const auto some = [](Result<std::string> url) -> Result<std::optional<std::string>> {
    if (!url) return std::move(url).error();
    return std::optional<std::string>(*std::move(url));
  };
  if (!endpoint.empty()) return some(complete_url(endpoint, kFlag, false));
  if (environment("OTEL_SDK_DISABLED").value_or("") == "true") return std::optional<std::string>();
  if (environment("OTEL_TRACES_EXPORTER").value_or("otlp") != "otlp") return std::optional<std::string>();
  if (const auto url = environment(kTraces)) return some(complete_url(*url, kTraces, false));
  if (const auto url = environment(kBase)) return some(complete_url(*url, kBase, true));
  return std::optional<std::string>();
}

Status read_headers(OtlpSettings& settings, const Environment& environment) {
  const char* variable = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
  auto text = environment(variable);
  if (!text) text = environment(variable = "OTEL_EXPORTER_OTLP_HEADERS");
  if (!text) return ok_status();
  ASSIGN_OR_RETURN(const OtlpAttributes headers, parse_list(*text, variable));
  for (const auto& [name, value] : headers) {
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
    if (std::ranges::any_of(name, is_control) || std::ranges::any_of(value, is_control))
      return invalid_argument(fmt::format("{}: a header has control characters", variable), variable);
    settings.headers.push_back(fmt::format("{}: {}", name, value));
  }
  return ok_status();
}

Status read_resource(OtlpSettings& settings, const std::string& version, const Environment& environment) {
  OtlpAttributes resource = {{"service.name", "pegainfer"}, {"service.version", version}};
  const auto set = [&](const std::string& key, const std::string& value) {
    const auto found = std::ranges::find(resource, key, &OtlpAttributes::value_type::first);
    if (found == resource.end()) {
      resource.emplace_back(key, value);
    } else {
      found->second = value;
    }
  };
  constexpr const char* kAttributes = "OTEL_RESOURCE_ATTRIBUTES";
  if (const auto text = environment(kAttributes)) {
    ASSIGN_OR_RETURN(const OtlpAttributes attributes, parse_list(*text, kAttributes));
    for (const auto& [key, value] : attributes) set(key, value);
  }
  if (const auto name = environment("OTEL_SERVICE_NAME")) set("service.name", *name);
  settings.exporter.resource = std::move(resource);
  return ok_status();
}

template <class Number>
Status read_number(const Environment& environment, const char* variable, Number min, Number max,
                   Number& out) {
  const auto text = environment(variable);
  if (!text) return ok_status();
  Number value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || !(value >= min && value <= max)) {
    return invalid_argument(fmt::format("{}={} must be a number from {} to {}", variable, *text, min, max),
                            variable);
  }
  out = value;
  return ok_status();
}

Status read_limits(OtlpExporter::Options& options, const Environment& environment) {
  constexpr int64_t kHour = 3'600'000;
  int64_t interval = options.interval.count();
  int64_t timeout = options.send_timeout.count();
  RETURN_IF_ERROR(read_number<int64_t>(environment, "OTEL_BSP_SCHEDULE_DELAY", 1, kHour, interval));
  RETURN_IF_ERROR(read_number<int64_t>(environment, "OTEL_EXPORTER_OTLP_TIMEOUT", 1, kHour, timeout));
  RETURN_IF_ERROR(read_number<int64_t>(environment, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 1, kHour, timeout));
  RETURN_IF_ERROR(
      read_number<size_t>(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 1, 1U << 20U, options.max_queue));
  RETURN_IF_ERROR(
      read_number<size_t>(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, 1U << 20U, options.max_batch));
  options.max_batch = std::min(options.max_batch, options.max_queue);
  options.interval = std::chrono::milliseconds(interval);
  options.send_timeout = std::chrono::milliseconds(timeout);
  return ok_status();
}

Status read_sampling(OtlpSampling& sampling, const Environment& environment) {
  constexpr const char* kSampler = "OTEL_TRACES_SAMPLER";
  const std::string name = environment(kSampler).value_or("parentbased_always_on");
  std::string_view rest = name;
  sampling.parent_based = rest.starts_with("parentbased_");
  if (sampling.parent_based) rest.remove_prefix(std::string_view("parentbased_").size());
  if (rest == "always_on") {
    sampling.ratio = 1;
  } else if (rest == "always_off") {
    sampling.ratio = 0;
  } else if (rest == "traceidratio") {
    return read_number<double>(environment, "OTEL_TRACES_SAMPLER_ARG", 0, 1, sampling.ratio);
  } else {
    return invalid_argument(
        fmt::format("{}={} must be always_on, always_off or traceidratio, or parentbased_ and one of them",
                    kSampler, name),
        kSampler);
  }
  return ok_status();
}

}  // namespace

std::string without_password(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const size_t begin = scheme + 3;
  const size_t at = url.substr(0, url.find_first_of("/?#", begin)).rfind('@');
  return at == std::string::npos || at < begin ? url : url.substr(0, begin) + url.substr(at + 1);
}

Result<std::optional<OtlpSettings>> otlp_settings(const std::string& endpoint, const std::string& version,
                                                  const Environment& environment) {
  ASSIGN_OR_RETURN(auto url, find_url(endpoint, environment));
  if (!url) return std::optional<OtlpSettings>();
  OtlpSettings settings{.url = *std::move(url)};
  RETURN_IF_ERROR(read_headers(settings, environment));
  RETURN_IF_ERROR(read_resource(settings, version, environment));
  RETURN_IF_ERROR(read_limits(settings.exporter, environment));
  RETURN_IF_ERROR(read_sampling(settings.sampling, environment));
  for (const char* variable : {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"}) {
    const auto protocol = environment(variable);
    if (protocol && *protocol != "http/json")
      LOG_WARN("{}={}: traces are exported as http/json, which is what there is", variable, *protocol);
  }
  return std::optional<OtlpSettings>(std::move(settings));
}

}  // namespace pegainfer::trace
