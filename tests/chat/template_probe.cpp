// Renders chat templates for templates_test.py: one JSON object a line on standard input,
//   {"template": file, "special_tokens": {..}, "messages": [..], "tools", "documents", "kwargs",
//    "add_generation_prompt", "continue_final_message", "now": seconds}
// one JSON object a line on standard output: {"text", "untrusted": [[begin, end], ..]} or {"error"}.
// `template_probe --time N` also renders each N times and adds "microseconds", the fastest.
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/json.h"
#include "chat/chat_template.h"

namespace {

using namespace pegainfer;
using Clock = std::chrono::steady_clock;

json::Object failed(const Error& error) { return {{"error", error.message}, {"type", error.type}}; }

const json::Array* array(const json::Object& request, std::string_view key) {
  const json::Value* found = json::find(request, key);
  return found != nullptr ? &found->as_array() : nullptr;
}

json::Object answer(const json::Object& request, int repeats) {
  std::ifstream file(std::string(request.at("template").as_string()));
  std::stringstream source;
  source << file.rdbuf();
  std::map<std::string, std::string> tokens;
  if (const json::Value* given = json::find(request, "special_tokens")) {
    for (const auto& [key, value] : given->as_object()) tokens[key] = value.as_string();
  }
  const auto compiled = chat::ChatTemplate::compile(source.str(), tokens);
  if (!compiled) return failed(compiled.error());
  chat::RenderInputs inputs;
  inputs.messages = array(request, "messages");
  inputs.tools = array(request, "tools");
  inputs.documents = array(request, "documents");
  const json::Value* kwargs = json::find(request, "kwargs");
  inputs.kwargs = kwargs != nullptr ? &kwargs->as_object() : nullptr;
  inputs.add_generation_prompt = request.at("add_generation_prompt").as_bool();
  inputs.continue_final_message = request.at("continue_final_message").as_bool();
  if (const json::Value* now = json::find(request, "now")) {
    inputs.now = std::chrono::system_clock::time_point(std::chrono::seconds(now->as_int64()));
  }
  const auto text = (*compiled)->render(inputs);
  if (!text) {
    json::Object out = failed(text.error());
    out["wants_content_parts"] = (*compiled)->wants_content_parts();
    return out;
  }
  json::Array spans;
  for (const TextSpan& span : text->untrusted) spans.push_back(json::Array{span.begin, span.end});
  json::Object out{{"text", text->text},
                   {"untrusted", spans},
                   {"wants_content_parts", (*compiled)->wants_content_parts()}};
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    if (!(*compiled)->render(inputs)) break;
    best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  if (repeats > 0) out["microseconds"] = best;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc == 3 && std::string_view(argv[1]) == "--time" ? std::stoi(argv[2]) : 0;
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = json::parse(line);
    const json::Object out = request ? answer(request->as_object(), repeats) : failed(request.error());
    std::cout << json::dump(out) << std::endl;
  }
  return 0;
}
