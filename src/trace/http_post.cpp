#include "trace/http_post.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pegainfer::trace {
namespace {

// The calls of libcurl that are used here.
struct Curl {
  decltype(&::curl_global_init) global_init = nullptr;
  decltype(&::curl_easy_init) init = nullptr;
  decltype(&::curl_easy_cleanup) cleanup = nullptr;
  decltype(&::curl_easy_setopt) setopt = nullptr;
  decltype(&::curl_easy_perform) perform = nullptr;
  decltype(&::curl_easy_getinfo) getinfo = nullptr;
  decltype(&::curl_easy_strerror) strerror = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
  std::string error;
};

template <class Function>
bool find(void* library, const char* name, Function& out) {
  out = reinterpret_cast<Function>(dlsym(library, name));
  return out != nullptr;
}

// Never closed: libcurl may have threads.
const Curl& curl() {
  static const Curl calls = [] {
    Curl c;
    void* library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      c.error = "libcurl.so.4 is not there (Debian: apt-get install libcurl4)";
      return c;
    }
    const bool all =
        find(library, "curl_global_init", c.global_init) && find(library, "curl_easy_init", c.init) &&
        find(library, "curl_easy_cleanup", c.cleanup) && find(library, "curl_easy_setopt", c.setopt) &&
        find(library, "curl_easy_perform", c.perform) && find(library, "curl_easy_getinfo", c.getinfo) &&
        find(library, "curl_easy_strerror", c.strerror) &&
        find(library, "curl_slist_append", c.slist_append) &&
        find(library, "curl_slist_free_all", c.slist_free_all);
    if (!all || c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) c.error = "libcurl.so.4 cannot be used";
    return c;
  }();
  return calls;
}

constexpr size_t kMaxAnswer = 64U << 10U;

size_t take_answer(char* data, size_t size, size_t count, void* target) {
  auto& body = *static_cast<std::string*>(target);
  const size_t bytes = size * count;
  body.append(data, std::min(bytes, kMaxAnswer - std::min(kMaxAnswer, body.size())));
  return bytes;
}

int ask_to_give_up(void* question, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(question))() ? 1 : 0;
}

class CurlPost final : public HttpPost {
 public:
  CurlPost(std::string url, const std::vector<std::string>& headers) : url_(std::move(url)) {
    for (const std::string& header : headers) headers_ = curl().slist_append(headers_, header.c_str());
    headers_ = curl().slist_append(headers_, "Content-Type: application/json");
    headers_ = curl().slist_append(headers_, "Expect:");  // no round trip before a large body
  }
  ~CurlPost() override { curl().slist_free_all(headers_); }
  CurlPost(const CurlPost&) = delete;
  CurlPost& operator=(const CurlPost&) = delete;

  // A handle and a connection for each: between two batches nothing is held open.
  Result<Answer> send(const std::string& body, TimePoint deadline,
                      const std::function<bool()>& give_up) override {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return failed("no time is left");
    const std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> easy(curl().init(), curl().cleanup);
    if (easy == nullptr) return failed("out of memory");
    Answer answer;
    std::array<char, CURL_ERROR_SIZE> error{};
    const auto set = [&](CURLoption option, auto value) { curl().setopt(easy.get(), option, value); };
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_HTTPHEADER, headers_);
    set(CURLOPT_USERAGENT, "pegainfer");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_ERRORBUFFER, error.data());
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    set(CURLOPT_WRITEFUNCTION, &take_answer);
    set(CURLOPT_WRITEDATA, &answer.body);
    set(CURLOPT_XFERINFOFUNCTION, &ask_to_give_up);
    set(CURLOPT_XFERINFODATA, &give_up);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(left.count()));
    const CURLcode code = curl().perform(easy.get());
    if (code != CURLE_OK) return failed(error[0] != 0 ? error.data() : curl().strerror(code));
    long status = 0;
    curl().getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
  }

 private:
  static Error failed(std::string message) { return {Code::kUnavailable, std::move(message), {}, {}}; }

  const std::string url_;
  curl_slist* headers_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<HttpPost>> HttpPost::create(std::string url, std::vector<std::string> headers) {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    return invalid_argument(fmt::format("{}: must begin with http:// or https://", url));
  if (!curl().error.empty()) return unsupported(curl().error);
  return std::unique_ptr<HttpPost>(std::make_unique<CurlPost>(std::move(url), headers));
}

}  // namespace pegainfer::trace
