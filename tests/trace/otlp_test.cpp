// Traces over OTLP without a network: whose trace it is, what is said, and what a bad receiver costs.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "trace/otlp_exporter.h"
#include "trace/otlp_settings.h"
#include "trace/otlp_span.h"
#include "trace/otlp_tracer.h"
#include "trace/trace_parent.h"

namespace pegainfer::trace {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr const char* kParent = "b7ad6b7169203331";

std::string parent(const std::string& flags, const std::string& version = "00") {
  return version + "-" + kTrace + "-" + kParent + "-" + flags;
}

TEST(TraceParent, IsReadAsTheStandardHasIt) {
  const auto one = parse_trace_parent(parent("01"));
  ASSERT_TRUE(one);
  EXPECT_EQ(one->trace_id, kTrace);
  EXPECT_EQ(one->span_id, kParent);
  EXPECT_TRUE(one->sampled);
  EXPECT_FALSE(parse_trace_parent(parent("00"))->sampled);
  EXPECT_TRUE(parse_trace_parent(parent("0b"))->sampled);
  EXPECT_TRUE(parse_trace_parent(parent("01", "cc") + "-what-is-to-come"));
}

TEST(TraceParent, IsNoneWhenAnythingIsWrong) {
  std::string upper = parent("01");
  upper[5] = 'A';
  std::string zero_trace = parent("01");
  zero_trace.replace(3, 32, 32, '0');
  std::string zero_parent = parent("01");
  zero_parent.replace(36, 16, 16, '0');
  for (const std::string& text :
       {std::string(), std::string("00"), parent("0"), parent("0g"), parent("01", "ff"),
        parent("01") + "-more", parent("01") + "0", parent("01", "cc") + "x", upper, zero_trace, zero_parent,
        parent("01").substr(1)}) {
    EXPECT_FALSE(parse_trace_parent(text)) << text;
  }
}

// ------------------------------------------------------------------------------------------------ settings

using Variables = std::map<std::string, std::string>;

Result<std::optional<OtlpSettings>> settings(const std::string& flag, const Variables& variables) {
  return otlp_settings(flag, "1.2.3", [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string url(const std::string& flag, const Variables& variables) {
  const auto found = settings(flag, variables);
  if (!found) return "error: " + found.error().message;
  return *found ? (*found)->url : "off";
}

TEST(OtlpSettings, WhereTracesGo) {
  const Variables base = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/otel/"}};
  const Variables both = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318"},
                          {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces/in"}};
  EXPECT_EQ(url("", {}), "off");
  EXPECT_EQ(url("", base), "http://base:4318/otel/v1/traces");
  EXPECT_EQ(url("", both), "https://traces/in");
  EXPECT_EQ(url("http://flag:1/path", both), "http://flag:1/path");
  EXPECT_EQ(url("http://flag:1/", both), "http://flag:1/v1/traces");
  EXPECT_EQ(url("http://flag:1", {{"OTEL_SDK_DISABLED", "true"}}), "http://flag:1/v1/traces");
  Variables disabled = both;
  disabled["OTEL_SDK_DISABLED"] = "true";
  EXPECT_EQ(url("", disabled), "off");
  Variables none = both;
  none["OTEL_TRACES_EXPORTER"] = "none";
  EXPECT_EQ(url("", none), "off");
  EXPECT_NE(url("flag:4317", {}).find("--otlp-traces-endpoint: flag:4317"), std::string::npos);
  EXPECT_NE(url("", {{"OTEL_EXPORTER_OTLP_ENDPOINT", "base"}}).find("OTEL_EXPORTER_OTLP_ENDPOINT: base"),
            std::string::npos);
}

TEST(OtlpSettings, HeadersNamesAndLimits) {
  const auto found =
      settings("http://a:1", {{"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20key, x-tenant=a=b,"},
                              {"OTEL_RESOURCE_ATTRIBUTES", "service.name=lost,host.name=h%2C1"},
                              {"OTEL_SERVICE_NAME", "chat"},
                              {"OTEL_BSP_SCHEDULE_DELAY", "50"},
                              {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
                              {"OTEL_TRACES_SAMPLER", "traceidratio"},
                              {"OTEL_TRACES_SAMPLER_ARG", "0.25"}});
  ASSERT_TRUE(found) << found.error().message;
  const OtlpSettings& s = **found;
  EXPECT_EQ(s.headers, (std::vector<std::string>{"authorization: Bearer key", "x-tenant: a=b"}));
  EXPECT_EQ(s.exporter.resource,
            (OtlpAttributes{{"service.name", "chat"}, {"service.version", "1.2.3"}, {"host.name", "h,1"}}));
  EXPECT_EQ(s.exporter.interval, milliseconds(50));
  EXPECT_EQ(s.exporter.max_batch, 100U);
  EXPECT_FALSE(s.sampling.parent_based);
  EXPECT_EQ(s.sampling.ratio, 0.25);
}

TEST(OtlpSettings, AUrlIsShownWithoutItsPassword) {
  EXPECT_EQ(without_password("http://me:pass@host:4318/a@b"), "http://host:4318/a@b");
  EXPECT_EQ(without_password("https://token@host"), "https://host");
  EXPECT_EQ(without_password("https://a:b@c@host?x=@"), "https://host?x=@");
  for (const char* plain : {"http://host/a@b", "http://host?a@b", "host@x", ""})
    EXPECT_EQ(without_password(plain), plain);
  EXPECT_EQ(url("grpc://me:pass@host", {}),
            "error: --otlp-traces-endpoint: grpc://host must begin with http:// or https://");
}

TEST(OtlpSettings, AnErrorNamesTheVariableAndNoSecret) {
  for (const auto& [name, value] : Variables{{"OTEL_EXPORTER_OTLP_HEADERS", "secret"},
                                             {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=secret%0D%0Ax: y"},
                                             {"OTEL_RESOURCE_ATTRIBUTES", "=x"},
                                             {"OTEL_BSP_SCHEDULE_DELAY", "soon"},
                                             {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},
                                             {"OTEL_TRACES_SAMPLER", "sometimes"}}) {
    const auto found = settings("http://a:1", {{name, value}});
    ASSERT_FALSE(found) << name;
    EXPECT_NE(found.error().message.find(name), std::string::npos) << found.error().message;
    EXPECT_EQ(found.error().message.find("secret"), std::string::npos) << found.error().message;
  }
}

// ---------------------------------------------------------------------------------------------------- spans

LlmSpan example() {
  LlmSpan span{.trace_id = kTrace, .parent_id = kParent, .request_id = "a \"name\""};
  span.arrival = 1'000'000'000;
  span.queued = 1'100'000'000;
  span.scheduled = 1'250'000'000;
  span.first_token = 1'500'000'000;
  span.last_token = 2'500'000'000;
  span.finished = 2'600'000'000;
  span.max_tokens = 7;
  span.temperature = 0.5F;
  span.top_p = 1;
  span.usage = {.prompt_tokens = 3, .completion_tokens = 5, .cached_tokens = 2};
  return span;
}

json::Array spans_of(const std::string& body) {
  const auto parsed = json::parse(body);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message << ": " << body;
    return {};
  }
  return parsed->at_pointer("/resourceSpans/0/scopeSpans/0/spans").as_array();
}

std::map<std::string, json::Value> attributes_of(const json::Value& span) {
  std::map<std::string, json::Value> out;
  for (const json::Value& a : span.at("attributes").as_array())
    out[a.at("key").as_string().c_str()] = a.at("value").as_object().begin()->value();
  return out;
}

TEST(OtlpSpan, SaysWhatHappened) {
  int next = 0;
  const std::vector<LlmSpan> one = {example()};
  const auto spans = spans_of(
      to_otlp_json(one, {{"service.name", "x"}}, "model", [&] { return "span" + std::to_string(++next); }));
  ASSERT_EQ(spans.size(), 4U);
  const json::Value& whole = spans[0];
  EXPECT_EQ(whole.at("name"), "llm_request");
  EXPECT_EQ(whole.at("traceId"), kTrace);
  EXPECT_EQ(whole.at("parentSpanId"), kParent);
  EXPECT_EQ(whole.at("startTimeUnixNano"), "1000000000");
  EXPECT_EQ(whole.at("endTimeUnixNano"), "2600000000");
  EXPECT_TRUE(whole.at("status").as_object().empty());
  auto a = attributes_of(whole);
  EXPECT_EQ(a["gen_ai.request.id"], "a \"name\"");
  EXPECT_EQ(a["gen_ai.response.model"], "model");
  EXPECT_EQ(a["gen_ai.request.max_tokens"], "7");
  EXPECT_EQ(a["gen_ai.request.temperature"].to_number<double>(), 0.5);
  EXPECT_EQ(a["gen_ai.usage.prompt_tokens"], "3");
  EXPECT_EQ(a["gen_ai.usage.cache_read.input_tokens"], "2");
  EXPECT_DOUBLE_EQ(a["gen_ai.latency.time_in_queue"].to_number<double>(), 0.15);
  EXPECT_DOUBLE_EQ(a["gen_ai.latency.time_to_first_token"].to_number<double>(), 0.5);
  EXPECT_DOUBLE_EQ(a["gen_ai.latency.e2e"].to_number<double>(), 1.6);
  EXPECT_DOUBLE_EQ(a["gen_ai.latency.time_in_model_prefill"].to_number<double>(), 0.25);
  EXPECT_DOUBLE_EQ(a["gen_ai.latency.time_in_model_decode"].to_number<double>(), 1.0);
  const std::vector<std::string> names = {"queue", "prefill", "decode"};
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(spans[i + 1].at("name"), json::Value(names[i]));
    EXPECT_EQ(spans[i + 1].at("parentSpanId"), "span1");
    EXPECT_EQ(spans[i + 1].at("traceId"), kTrace);
  }
}

TEST(OtlpSpan, OfOneThatNeverRanHasNoLatencies) {
  LlmSpan span{.trace_id = kTrace, .arrival = 5, .queued = 6, .finished = 9};
  span.reason = FinishReason::kTimeout;
  span.message = "too\nlate";
  const auto spans =
      spans_of(to_otlp_json(std::vector<LlmSpan>{span}, {}, "m", [] { return std::string("s"); }));
  ASSERT_EQ(spans.size(), 2U);  // it was in the queue
  EXPECT_EQ(spans[0].at("parentSpanId"), "");
  EXPECT_EQ(spans[0].at("status").at("code"), 2);
  EXPECT_EQ(spans[0].at("status").at("message"), "too\nlate");
  EXPECT_FALSE(attributes_of(spans[0]).contains("gen_ai.latency.time_to_first_token"));
  EXPECT_TRUE(attributes_of(spans[0]).contains("gen_ai.latency.e2e"));
}

// ------------------------------------------------------------------------------------------------- exporter

// Answers out of a list, the last one again and again; can be held.
class FakePost final : public HttpPost {
 public:
  explicit FakePost(std::vector<Answer> answers) : answers_(std::move(answers)) {}
  Result<Answer> send(const std::string& body, TimePoint deadline,
                      const std::function<bool()>& give_up) override {
    std::unique_lock lock(mutex);
    bodies.push_back(body);
    changed.notify_all();
    while (held && !give_up() && steady_clock::now() < deadline) changed.wait_for(lock, milliseconds(5));
    if (held) return Error{Code::kUnavailable, "timed out", {}, {}};
    const Answer answer = answers_.front();
    if (answers_.size() > 1) answers_.erase(answers_.begin());
    if (answer.status == 0) return Error{Code::kUnavailable, "refused", {}, {}};
    return answer;
  }
  void wait_for_bodies(size_t count) {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return bodies.size() >= count; }));
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool held = false;
  std::vector<std::string> bodies;

 private:
  std::vector<Answer> answers_;
};

struct Rig {
  explicit Rig(std::vector<HttpPost::Answer> answers, bool held = false) {
    auto owned = std::make_unique<FakePost>(std::move(answers));
    post = owned.get();
    post->held = held;
    OtlpExporter::Options options{.max_queue = 8, .max_batch = 4, .interval = milliseconds(2)};
    options.first_retry = milliseconds(1);
    exporter = std::make_shared<OtlpExporter>(std::move(owned), options);
  }
  FakePost* post;
  std::shared_ptr<OtlpExporter> exporter;
};

TEST(OtlpExporter, SendsAllInBatches) {
  Rig rig({{200, "{}"}});
  for (int i = 0; i < 7; ++i) rig.exporter->add(example());
  rig.exporter->finish(std::chrono::seconds(5));
  EXPECT_EQ(rig.exporter->counts().exported, 7U);
  size_t num_spans = 0;
  for (const std::string& body : rig.post->bodies) {
    const size_t here = spans_of(body).size();
    EXPECT_LE(here, 4U * 4U);
    num_spans += here;
  }
  EXPECT_EQ(num_spans, 7U * 4U);
  rig.exporter->add(example());  // too late
  EXPECT_EQ(rig.exporter->counts().dropped, 1U);
}

TEST(OtlpExporter, TriesAgainWhenAskedTo) {
  Rig rig({{503, ""}, {0, ""}, {429, ""}, {200, R"({"partialSuccess":{"rejectedSpans":"1"}})"}});
  rig.exporter->add(example());
  rig.post->wait_for_bodies(4);
  rig.exporter->finish(std::chrono::seconds(5));
  EXPECT_EQ(rig.exporter->counts().exported, 0U);
  EXPECT_EQ(rig.exporter->counts().rejected, 1U);
  for (const std::string& body : rig.post->bodies) EXPECT_EQ(body, rig.post->bodies.front());
}

TEST(OtlpExporter, GivesUpAfterARefusalAndAfterManyTries) {
  Rig refused({{400, ""}});
  refused.exporter->add(example());
  refused.post->wait_for_bodies(1);
  refused.exporter->finish(std::chrono::seconds(5));
  EXPECT_EQ(refused.post->bodies.size(), 1U);
  EXPECT_EQ(refused.exporter->counts().failed, 1U);

  Rig gone({{0, ""}});
  gone.exporter->add(example());
  gone.post->wait_for_bodies(5);
  gone.exporter->finish(std::chrono::seconds(5));
  EXPECT_EQ(gone.post->bodies.size(), 5U);
  EXPECT_EQ(gone.exporter->counts().failed, 1U);
}

TEST(OtlpExporter, AReceiverThatHangsCostsSpansAndBoundedTime) {
  Rig rig({{200, ""}}, true);
  rig.exporter->add(example());
  rig.post->wait_for_bodies(1);
  for (int i = 0; i < 20; ++i) rig.exporter->add(example());  // never waits
  EXPECT_EQ(rig.exporter->counts().dropped, 12U);
  const auto begin = steady_clock::now();
  rig.exporter->finish(milliseconds(100));
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(2));
  const auto counts = rig.exporter->counts();
  EXPECT_EQ(counts.exported, 0U);
  EXPECT_EQ(counts.dropped + counts.failed, 21U);
}

// --------------------------------------------------------------------------------------------------- tracer

// How many of `count` requests with this traceparent are traced.
size_t num_traced(const std::string& trace_parent, const OtlpSampling& sampling, int count) {
  Rig rig({{200, "{}"}});
  OtlpTracer tracer(rig.exporter, sampling);
  const TimePoint now = steady_clock::now();
  for (int i = 1; i <= count; ++i) {
    const RequestId id{static_cast<uint64_t>(i)};
    tracer.on_queued({.id = id, .arrival = now, .trace_parent = trace_parent}, now);
    tracer.on_finished(id, {}, {.arrival = now, .queued = now, .finished = now});
  }
  rig.exporter->finish(std::chrono::seconds(5));
  const auto counts = rig.exporter->counts();
  return counts.exported + counts.dropped;
}

TEST(OtlpTracer, TheParentDecidesElseTheRatio) {
  EXPECT_EQ(num_traced(parent("01"), {}, 10), 10U);
  EXPECT_EQ(num_traced(parent("00"), {}, 10), 0U);
  EXPECT_EQ(num_traced("", {}, 10), 10U);
  EXPECT_EQ(num_traced("nonsense", {}, 10), 10U);
  EXPECT_EQ(num_traced(parent("01"), {.ratio = 0}, 10), 10U);
  EXPECT_EQ(num_traced("", {.ratio = 0}, 10), 0U);
  EXPECT_EQ(num_traced(parent("00"), {.parent_based = false}, 10), 10U);
  const size_t half = num_traced("", {.ratio = 0.5}, 1000);
  EXPECT_GT(half, 400U);
  EXPECT_LT(half, 600U);
}

}  // namespace
}  // namespace pegainfer::trace
