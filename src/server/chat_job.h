// One /v1/chat/completions request under way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/generation_job.h"
#include "server/openai/chat_request.h"
#include "server/openai/chat_writer.h"

namespace pegainfer::server {

class ChatJob final : public GenerationJob {
 public:
  ChatJob(ServedModel served, openai::ChatRequest request, http::ResponderPtr responder);

  [[nodiscard]] const openai::GenerationOptions& options() const override { return *request_; }
  [[nodiscard]] Encoder encoder() const override;
  [[nodiscard]] size_t text_bytes() const override { return request_->text_bytes; }

 private:
  struct Answer {
    openai::ChatPart part;  // not yet sent; all of it when not streaming
    bool begun = false;
  };

  [[nodiscard]] std::vector<size_t> estimate_tokens() const override;
  void begin() override;
  [[nodiscard]] TextOptions text_options() const override;
  void add(size_t choice, TextDelta delta) override;
  std::string whole_answer() override;
  std::string stream_end() override;
  [[nodiscard]] openai::ChatWriter::Totals totals() const;
  [[nodiscard]] openai::ChatWriter::Prompt prompt() const;

  std::shared_ptr<const openai::ChatRequest> request_;
  openai::ChatWriter writer_;
  std::vector<openai::ChatParts> parts_;  // [choices]
  std::vector<Answer> answers_;           // [choices]
};

}  // namespace pegainfer::server
