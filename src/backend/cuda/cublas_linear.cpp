#include "backend/cuda/cublas_linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <string>

#include "backend/cuda_layout.h"

namespace pegainfer {
namespace {

// cuBLASLt counts columns first: out^T [n, rows] = w [n, cols] x^T, with w and x as they stand.
struct Descriptors {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t w;
  cublasLtMatrixLayoutOpaque_t x;
  cublasLtMatrixLayoutOpaque_t out;
};

cublasStatus_t describe(const CublasProblem& p, const void* bias, Descriptors& d) {
  const cudaDataType_t out_type = p.out_f32 ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasStatus_t status = cublasLtMatmulDescInit(&d.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    if (status == CUBLAS_STATUS_SUCCESS)
      status = cublasLtMatmulDescSetAttribute(&d.operation, attribute, &value, sizeof(value));
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
  if (p.has_bias) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, out_type);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  const auto layout = [&](cublasLtMatrixLayoutOpaque_t& of, cudaDataType_t type, int64_t rows, int64_t cols,
                          int64_t stride) {
    if (status == CUBLAS_STATUS_SUCCESS)
      status = cublasLtMatrixLayoutInit(&of, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols),
                                        stride);
  };
  layout(d.w, CUDA_R_16BF, p.cols, p.n, p.cols);
  layout(d.x, CUDA_R_16BF, p.cols, p.rows, p.x_stride);
  layout(d.out, out_type, p.n, p.rows, p.out_stride);
  return status;
}

cudaError_t error_of(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return cudaSuccess;
  return status == CUBLAS_STATUS_EXECUTION_FAILED ? cudaErrorLaunchFailure : cudaErrorNotSupported;
}

}  // namespace

Result<std::unique_ptr<CublasLinear>> CublasLinear::create(CudaContext& context) {
  const CudaDevice& device = context.device();
  std::string file = fmt::format("cublaslt-{}.txt", device.name);
  std::replace_if(
      file.begin(), file.end(), [](char c) { return c == ' ' || c == '/'; }, '-');
  std::unique_ptr<CublasLinear> linear(new CublasLinear(
      context,
      AlgorithmStore(AlgorithmStore::path_of(file), fmt::format("{}, {} SMs, cuBLASLt {}", device.name,
                                                                device.num_sms, cublasLtGetVersion()))));
  if (const cublasStatus_t status = cublasLtCreate(&linear->handle_); status != CUBLAS_STATUS_SUCCESS)
    return Error{Code::kUnavailable, fmt::format("cuBLASLt: {}", cublasLtGetStatusString(status)), {}, {}};
  return linear;
}

CublasLinear::~CublasLinear() {
  if (handle_ != nullptr) cublasLtDestroy(handle_);
}

int64_t CublasLinear::class_of(int64_t rows) {
  if (rows <= 32) return 32;
  const auto power = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows)));
  return rows <= power / 4 * 3 ? power / 4 * 3 : power;  // 48, 64, 96, 128, 192, ...
}

CublasLinear::Key CublasLinear::key_of(const CublasProblem& p) {
  const int kind = (p.out_f32 ? 1 : 0) + (p.accumulate ? 2 : 0) + (p.has_bias ? 4 : 0);
  return {class_of(p.rows), p.n, p.cols, kind};
}

int CublasLinear::candidates(const CublasProblem& problem, std::span<cublasLtMatmulHeuristicResult_t> found) {
  Descriptors d;
  if (describe(problem, nullptr, d) != CUBLAS_STATUS_SUCCESS) return 0;
  cublasLtMatmulPreferenceOpaque_t preference;
  if (cublasLtMatmulPreferenceInit(&preference) != CUBLAS_STATUS_SUCCESS) return 0;
  const size_t workspace = kCublasWorkspaceBytes;
  const uint32_t alignment = 16;
  cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                       sizeof(workspace));
  for (const auto which :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    cublasLtMatmulPreferenceSetAttribute(&preference, which, &alignment, sizeof(alignment));
  int count = 0;
  if (cublasLtMatmulAlgoGetHeuristic(handle_, &d.operation, &d.w, &d.x, &d.out, &d.out, &preference,
                                     static_cast<int>(found.size()), found.data(),
                                     &count) != CUBLAS_STATUS_SUCCESS)
    return 0;
  return count;
}

cublasStatus_t CublasLinear::multiply(const CublasProblem& problem, const CublasOperands& operands,
                                      const cublasLtMatmulAlgo_t& algorithm, std::byte* workspace) {
  Descriptors d;
  if (const cublasStatus_t status = describe(problem, operands.bias, d); status != CUBLAS_STATUS_SUCCESS)
    return status;
  const float one = 1;
  const float beta = problem.accumulate ? 1 : 0;
  return cublasLtMatmul(handle_, &d.operation, &one, operands.w, &d.w, operands.x, &d.x, &beta, operands.out,
                        &d.out, operands.out, &d.out, &algorithm, workspace, kCublasWorkspaceBytes,
                        context_.stream());
}

cudaError_t CublasLinear::run(const CublasProblem& problem, const CublasOperands& operands,
                              std::byte* workspace) {
  if (problem.rows == 0 || problem.n == 0) return cudaSuccess;
  if (watching_) {
    Seen& seen = seen_[key_of(problem)];
    seen.problem = problem;
    seen.operands.push_back(operands);
  }
  std::array<cublasLtMatmulHeuristicResult_t, 1> first{};
  if (const auto pinned = pinned_.find(key_of(problem)); pinned != pinned_.end()) {
    const cublasStatus_t status = multiply(problem, operands, pinned->second, workspace);
    // An algorithm chosen for the class's size may refuse another; then this size is asked for by itself.
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE)
      return error_of(status);
    if (candidates(problem, first) == 0) return cudaErrorNotSupported;
    return error_of(multiply(problem, operands, first[0].algo, workspace));
  }
  CublasProblem representative = problem;
  representative.rows = class_of(problem.rows);
  if (candidates(representative, first) == 0) return cudaErrorNotSupported;
  pinned_.emplace(key_of(problem), first[0].algo);
  return run(problem, operands, workspace);
}

float CublasLinear::time(const CublasProblem& problem, std::span<const CublasOperands> alike,
                         const cublasLtMatmulAlgo_t& algorithm, std::byte* workspace, int repeats) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  cublasStatus_t status = multiply(problem, alike[0], algorithm, workspace);
  cudaEventRecord(begin, context_.stream());
  for (int i = 0; i < repeats && status == CUBLAS_STATUS_SUCCESS; ++i)
    status = multiply(problem, alike[static_cast<size_t>(i) % alike.size()], algorithm, workspace);
  cudaEventRecord(end, context_.stream());
  float ms = 0;
  const bool well =
      cudaEventSynchronize(end) == cudaSuccess && cudaEventElapsedTime(&ms, begin, end) == cudaSuccess;
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return well && status == CUBLAS_STATUS_SUCCESS ? ms * 1000.0F / static_cast<float>(repeats) : -1.0F;
}

Status CublasLinear::tune(std::byte* workspace) {
  watching_ = false;
  for (const auto& [key, seen] : std::exchange(seen_, {}))
    if (!choose_known(seen, workspace)) RETURN_IF_ERROR(tune(seen, workspace));
  static_cast<void>(store_.save());  // where nothing can be written, the next start times them again
  return context_.health();
}

bool CublasLinear::choose_known(const Seen& seen, std::byte* workspace) {
  const std::optional<AlgorithmStore::Algorithm> known = store_.find(key_of(seen.problem));
  if (!known) return false;
  const auto algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(*known);
  if (multiply(seen.problem, seen.operands[0], algorithm, workspace) != CUBLAS_STATUS_SUCCESS) return false;
  pinned_[key_of(seen.problem)] = algorithm;
  return true;
}

Status CublasLinear::tune(const Seen& seen, std::byte* workspace) {
  const CublasProblem& problem = seen.problem;
  std::array<cublasLtMatmulHeuristicResult_t, kMaxCandidates> found{};
  const int count = candidates(problem, found);
  if (count == 0)
    return unsupported(
        fmt::format("cuBLASLt has no algorithm for {} x {} x {}", problem.rows, problem.n, problem.cols));
  // A first look bounds the time that the measurement takes: about a millisecond an algorithm, 3 to 100
  // products.
  struct Timed {
    int candidate = 0;
    int repeats = 0;
    float us = 0;  // the best
  };
  std::vector<Timed> timed;
  float best = std::numeric_limits<float>::max();
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulAlgo_t& algorithm = found.at(static_cast<size_t>(i)).algo;
    const float look = time(problem, seen.operands, algorithm, workspace, 2);
    if (look < 0 || look > 2 * best) continue;
    const int repeats = std::clamp(static_cast<int>(1000.0F / std::max(look, 1.0F)), 3, 100);
    const float us = time(problem, seen.operands, algorithm, workspace, repeats);
    if (us < 0) continue;
    best = std::min(best, us);
    timed.push_back({.candidate = i, .repeats = repeats, .us = us});
  }
  if (timed.empty())
    return unsupported(
        fmt::format("no algorithm of cuBLASLt runs {} x {} x {}", problem.rows, problem.n, problem.cols));
  // Those that are near the best once more, in turns: the choice stays for later starts, so one disturbed
  // measurement is not to make it.
  std::erase_if(timed, [&](const Timed& t) { return t.us > kNearBest * best; });
  for (int round = 0; round < kFinalRounds && timed.size() > 1; ++round) {
    for (Timed& t : timed) {
      const float us =
          time(problem, seen.operands, found.at(static_cast<size_t>(t.candidate)).algo, workspace, t.repeats);
      if (us > 0) t.us = std::min(t.us, us);
    }
  }
  const auto winner = std::min_element(timed.begin(), timed.end(),
                                       [](const Timed& a, const Timed& b) { return a.us < b.us; });
  pinned_[key_of(problem)] = found.at(static_cast<size_t>(winner->candidate)).algo;
  store_.put(key_of(problem), std::bit_cast<AlgorithmStore::Algorithm>(pinned_.at(key_of(problem))));
  return ok_status();
}

}  // namespace pegainfer
