// Backend: where tensors live and ops run. Two of them matter (CPU, CUDA); `check` and `null` decorate or
// imitate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backend/buffer.h"
#include "backend/ops.h"
#include "pegainfer/result.h"
#include "tensor/weight.h"

namespace pegainfer {

class Event {  // a point on the backend's stream; one that was never recorded is done
 public:
  virtual ~Event() = default;
  virtual void wait() = 0;
  [[nodiscard]] virtual bool done() = 0;
};

class StreamTask {  // work for Backend::submit()
 public:
  virtual ~StreamTask() = default;
  virtual void run() = 0;
};

class Graph {  // a captured sequence of ops
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;
};

struct DeviceMemory {
  size_t total_bytes = 0;
  size_t available_bytes = 0;
  bool holds_staging = false;  // allocate_staging() takes from it as well
};

// The largest step that will be run.
struct StepLimits {
  int max_tokens = 0;
  int max_seqs = 0;
  int max_logits = 0;   // rows that leave the model, at most max_tokens
  int max_context = 0;  // positions of one sequence
  int num_heads = 0;    // of one layer
  int num_kv_heads = 0;
  int head_dim = 0;
  int64_t max_linear_cols = 0;  // the widest input of a linear()
  int64_t vocab_size = 0;
};

class Backend {
 public:
  // pack_rows takes rows in multiples of this, but for the last ones of a part.
  static constexpr int64_t kPackRows = 64;

  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "cpu", "cuda"
  [[nodiscard]] virtual std::string description()
      const = 0;  // one line for the log: instruction set, threads, device
  [[nodiscard]] virtual DeviceMemory memory() const = 0;
  virtual Ops& ops() = 0;
  // An error once the device has failed for good: nothing it computes counts any more. The message names the
  // op.
  [[nodiscard]] virtual Status health() const { return ok_status(); }
  // Where a step is bound by launching kernels, not by running them: decode steps are captured into graphs.
  [[nodiscard]] virtual bool prefers_graphs() const { return false; }
  // Tokens of a step when nobody says: enough that a prompt is bound by arithmetic, not so many that streams
  // beside it wait long.
  [[nodiscard]] virtual int default_max_num_batched_tokens() const { return 512; }
  // Rows of logits that the head computes at a time: enough that reading its weights once serves a batch.
  [[nodiscard]] virtual int head_rows() const { return 32; }

  // Sizes whatever memory the ops need besides their arguments; start-up only. A step beyond the limits is a
  // bug from then on (without a call, it grows as needed).
  virtual Status reserve(const StepLimits& limits) = 0;
  // Bytes of it, for planning.
  [[nodiscard]] virtual size_t reserve_bytes(const StepLimits& limits) const = 0;
  virtual Result<Buffer> allocate(size_t bytes) = 0;  // device memory; start-up only
  // Between the two, at start-up, steps of the sizes that will come are run: a backend that has a choice of
  // algorithms makes it in end_warm_up(), by trying them on what it saw (whose outputs it writes again).
  virtual void begin_warm_up() {}
  virtual Status end_warm_up() { return ok_status(); }
  virtual Result<Buffer> allocate_staging(
      size_t bytes) = 0;  // host memory that transfers well (pinned on CUDA)
  // How often memory was taken so far, by the calls above or by ops that grew: constant once a model is
  // ready.
  [[nodiscard]] virtual uint64_t num_allocations() const = 0;
  virtual void upload(std::span<const std::byte> from, std::span<std::byte> to) = 0;    // asynchronous
  virtual void download(std::span<const std::byte> from, std::span<std::byte> to) = 0;  // asynchronous
  // Runs the uploads, ops and downloads of `task` behind those of the tasks before it. CUDA: now, for they
  // enqueue themselves. CPU: on a thread of the backend's own, while the caller goes on; whoever submits then
  // calls ops and copies from tasks only, or waits first. The task must live until it is done. Never
  // allocates.
  virtual void submit(StreamTask& task) = 0;
  virtual std::unique_ptr<Event> make_event() = 0;
  // Makes `event`, of this backend, the point behind everything that was submitted or enqueued so far. Never
  // allocates.
  virtual void record_into(Event& event) = 0;
  std::unique_ptr<Event> record() {
    std::unique_ptr<Event> event = make_event();
    record_into(*event);
    return event;
  }
  virtual std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) = 0;  // CPU: keeps the closure

  // Bytes a part takes in this backend's layout; a multiple of 64. An error when the format is not supported
  // here.
  [[nodiscard]] virtual Result<size_t> packed_bytes(WeightFormat format, int64_t rows,
                                                    int64_t cols) const = 0;
  // Converts rows [row_begin, row_begin + n) from checkpoint layout (n * row_bytes(format, cols) bytes, rows
  // in order) into part.data. Start-up only; row_begin is a multiple of kPackRows. Not to be called from
  // several threads for one part at once.
  virtual void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) = 0;
  // Writes all rows of a part in a float format, as if they were packed: element (row, col) is
  // dummy_value(key, row * cols + col, scale) of tensor/dummy_value.h, rounded to the format. Start-up only;
  // asynchronous on CUDA.
  virtual void fill_dummy(const WeightPart& part, uint64_t key, float scale) = 0;
};

struct BackendOptions {
  std::string device = "auto";  // auto, cpu, cuda, cuda:<index>
  int threads = 0;              // CPU: 0: all physical cores
  bool check = false;           // wrap the ops in the `check` decorator; CUDA: wait for each op
};

// The backend for options.device; an error that says what this build and machine offer.
Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options);

}  // namespace pegainfer
