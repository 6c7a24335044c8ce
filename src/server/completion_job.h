// One /v1/completions request under way.
#pragma once

#include <string>
#include <vector>

#include "server/generation_job.h"
#include "server/openai/completion_request.h"
#include "server/openai/completion_writer.h"

namespace pegainfer::server {

class CompletionJob final : public GenerationJob {
 public:
  CompletionJob(ServedModel model, openai::CompletionRequest request, http::ResponderPtr responder);

  [[nodiscard]] const openai::GenerationOptions& options() const override { return *request_; }
  [[nodiscard]] Encoder encoder() const override;
  [[nodiscard]] size_t text_bytes() const override;

 private:
  [[nodiscard]] std::vector<size_t> estimate_tokens() const override;
  void begin() override;
  void adapt(SamplingParams& sampling) const override;
  void add(size_t choice, TextDelta delta) override;
  std::string whole_answer() override;
  std::string stream_end() override;
  void report_eos(TextDelta& delta) const;

  std::shared_ptr<const openai::CompletionRequest> request_;
  openai::CompletionWriter writer_;
  std::vector<std::string> prompt_texts_;    // [prompts], for echo
  std::vector<openai::ChoiceParts> parts_;   // [choices]
  std::vector<openai::ChoicePart> answers_;  // [choices], when not streaming
  bool eos_is_scored_ = false;
};

}  // namespace pegainfer::server
