// run_load(): sends streamed requests to an OpenAI-compatible server at given times over many connections and
// notes when each token comes back. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/outcome.h"
#include "pegainfer/result.h"

namespace pegainfer::bench {

// Where requests go. http only.
struct ServerUrl {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string base_path;  // "" or "/prefix", before every path
};
// "http://host:port/prefix"; an error names what is wrong.
Result<ServerUrl> parse_url(const std::string& url);

struct LoadRequest {
  double at = 0;  // [s] after the start, ascending
  int prompt_len = 0;
};

struct LoadOptions {
  ServerUrl server;
  std::string path = "/v1/completions";
  std::vector<std::pair<std::string, std::string>> headers;
  int max_concurrency =
      0;  // requests under way; later ones wait, and their time begins when sent. 0: no limit
  bool keep_text = false;
  double timeout_s = 6.0 * 3600;                  // of one request
  std::function<std::string(size_t index)> body;  // the JSON to send
  std::function<void(size_t num_done)> on_done = {};
};

struct LoadResult {
  std::vector<RequestOutcome> outcomes;  // in the order of the requests
  double duration = 0;                   // [s] from the start to the last end
};
// An error only when the host has no address; all else is in the outcomes.
Result<LoadResult> run_load(const LoadOptions& options, const std::vector<LoadRequest>& requests);

struct HttpReply {
  int status = 0;
  std::string body;
};
// One plain request, for what is to be known before. Method GET without a body, else POST.
Result<HttpReply> ask_server(const ServerUrl& server, const std::string& path, const std::string& body = {},
                             const std::vector<std::pair<std::string, std::string>>& headers = {});

}  // namespace pegainfer::bench
