#include "backend/cuda/cuda_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/quant/dequantize.h"
#include "kernels/cuda/quant/dummy.h"

namespace pegainfer {
namespace {

// Copies and events are no ops: where one is well, it is not what is named beside a later failure.
void note_failure(CudaContext& context, std::string_view what, cudaError_t error) {
  if (error != cudaSuccess) context.note(what, error);
}

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(CudaContext& context) : context_(context) {
    context_.note("an event", cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  }
  ~CudaEvent() override {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void record() {
    note_failure(context_, "an event's recording", cudaEventRecord(event_, context_.stream()));
    recorded_ = true;
  }
  void wait() override {
    if (recorded_) fail_on(cudaEventSynchronize(event_));
  }
  [[nodiscard]] bool done() override {
    if (!recorded_) return true;
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    fail_on(state);
    return true;
  }

 private:
  // Not noted when all is well: the last op enqueued is what an error should name.
  void fail_on(cudaError_t error) { note_failure(context_, "an op before an event", error); }

  CudaContext& context_;
  cudaEvent_t event_ = nullptr;
  bool recorded_ = false;
};

class CudaGraph final : public Graph {
 public:
  CudaGraph(CudaContext& context, cudaGraphExec_t graph) : context_(context), graph_(graph) {}
  ~CudaGraph() override {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void launch() override {
    if (graph_ != nullptr) context_.note("a captured step", cudaGraphLaunch(graph_, context_.stream()));
  }

 private:
  CudaContext& context_;
  cudaGraphExec_t graph_;  // null after a capture that failed: the context's health says so
};

}  // namespace

Result<std::unique_ptr<CudaBackend>> CudaBackend::create(int device, bool check_every_op) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaContext> context, CudaContext::create(device));
  context->check_every_op(check_every_op);
  std::unique_ptr<CudaBackend> backend(new CudaBackend(std::move(context)));
  ASSIGN_OR_RETURN(backend->ops_, CudaOps::create(*backend->context_));
  return backend;
}

CudaBackend::~CudaBackend() {
  use_device();
  cudaStreamSynchronize(context_->stream());  // memory that is freed after this may be in use until then
}

void CudaBackend::use_device() const {
  static thread_local int current = -1;
  const int wanted = context_->device().index;
  if (current == wanted) return;
  const cudaError_t error = cudaSetDevice(wanted);
  if (error == cudaSuccess) {
    current = wanted;
  } else {
    context_->note("the choice of the device", error);
  }
}

std::string CudaBackend::description() const {
  const CudaDevice& d = context_->device();
  return fmt::format("cuda ({}, sm_{}{}, {} SMs, driver {}.{})", d.name, d.major, d.minor, d.num_sms,
                     d.driver_version / 1000, d.driver_version % 1000 / 10);
}

DeviceMemory CudaBackend::memory() const {
  use_device();
  DeviceMemory memory;
  cudaMemGetInfo(&memory.available_bytes, &memory.total_bytes);
  return memory;
}

Ops& CudaBackend::ops() {
  use_device();
  return *ops_;
}

Status CudaBackend::reserve(const StepLimits& limits) {
  use_device();
  context_->note("the loading of weights", cudaStreamSynchronize(context_->stream()));
  converting_ = {};
  RETURN_IF_ERROR(health());
  return ops_->reserve(limits);
}

size_t CudaBackend::reserve_bytes(const StepLimits& limits) const {
  return cuda_workspace(limits, context_->device().num_sms).total();
}

void CudaBackend::begin_warm_up() {
  use_device();
  ops_->begin_warm_up();
}

Status CudaBackend::end_warm_up() {
  use_device();
  return ops_->end_warm_up();
}

Result<Buffer> CudaBackend::allocate(size_t bytes) {
  use_device();
  return context_->allocate(bytes);
}

Result<Buffer> CudaBackend::allocate_staging(size_t bytes) {
  use_device();
  return context_->allocate_pinned(bytes);
}

void CudaBackend::upload(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "{} bytes into {}", from.size(), to.size());
  if (from.empty()) return;
  use_device();
  note_failure(
      *context_, "an upload",
      cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyHostToDevice, context_->stream()));
}

void CudaBackend::download(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "{} bytes into {}", from.size(), to.size());
  if (from.empty()) return;
  use_device();
  note_failure(
      *context_, "a download",
      cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDeviceToHost, context_->stream()));
}

void CudaBackend::submit(StreamTask& task) {
  use_device();
  task.run();
}

std::unique_ptr<Event> CudaBackend::make_event() {
  use_device();
  return std::make_unique<CudaEvent>(*context_);
}

void CudaBackend::record_into(Event& event) {
  use_device();
  static_cast<CudaEvent&>(event).record();
}

std::unique_ptr<Graph> CudaBackend::capture(const std::function<void()>& enqueue) {
  use_device();
  cudaStream_t stream = context_->stream();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaError_t error = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (error == cudaSuccess) {
    enqueue();
    error = cudaStreamEndCapture(stream, &graph);
  }
  if (error == cudaSuccess) error = cudaGraphInstantiate(&exec, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (error == cudaSuccess) error = cudaGraphUpload(exec, stream);
  context_->note("the capture of a step", error);
  return std::make_unique<CudaGraph>(*context_, exec);
}

Result<size_t> CudaBackend::packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const {
  return cuda_packed_bytes(format, rows, cols);
}

std::byte* CudaBackend::place_of_row(const WeightPart& part, int64_t row) const {
  return part.data + static_cast<size_t>(row * part.cols) * size_of(cuda_weight_dtype(part.format));
}

void CudaBackend::pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) {
  const size_t bytes = row_bytes(part.format, part.cols);
  CHECK(bytes > 0 && rows.size() % bytes == 0, "{} bytes for rows of {}", rows.size(), bytes);
  const auto count = static_cast<int64_t>(rows.size() / bytes);
  CHECK(row_begin % kPackRows == 0 && row_begin >= 0 && row_begin + count <= part.rows, "rows [{}, {}) of {}",
        row_begin, row_begin + count, part.rows);
  if (count == 0) return;
  use_device();
  std::byte* to = place_of_row(part, row_begin);
  if (part.format == WeightFormat::kBF16 || part.format == WeightFormat::kF32)
    return upload(rows, {to, rows.size()});
  if (rows.size() > converting_.size()) {
    // The memory of the rows before may still be read; freeing it waits for that.
    Result<Buffer> grown = context_->allocate(std::max(rows.size(), 2 * converting_.size()));
    if (!grown) return context_->note("memory to convert weights in", cudaErrorMemoryAllocation);
    converting_ = *std::move(grown);
  }
  upload(rows, converting_.bytes());
  context_->note("the conversion of weights",
                 cuda::dequantize(part.format, converting_.data(), count, part.cols, to, context_->stream()));
}

void CudaBackend::fill_dummy(const WeightPart& part, uint64_t key, float scale) {
  use_device();
  context_->note("made-up weights", cuda::fill_dummy(part.format, part.rows * part.cols, key, scale,
                                                     part.data, context_->stream()));
}

}  // namespace pegainfer
