// CublasLinear: dense BF16 products of many rows, which cuBLASLt computes.
//
// Which of its algorithms is best depends on the shape, and its heuristic is a guess. At start-up it watches
// steps of the sizes that will come (watch()) and then times the likely algorithms for what it saw (tune()),
// by classes of row counts; run() looks the shape up and, where nothing was timed, takes the heuristic's
// first. So while requests are served nothing is searched but once, on the host, for a shape that nobody
// foresaw. What was chosen is kept for later runs (AlgorithmStore): a restart computes the same bits.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend/algorithm_store.h"
#include "backend/cuda/cuda_context.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct CublasProblem {
  int64_t rows = 0;  // of x and out
  int64_t n = 0;     // rows of w
  int64_t cols = 0;
  int64_t x_stride = 0;    // multiples of 8; pointers 16-byte aligned
  int64_t out_stride = 0;  // of 8 too, out 16-byte aligned
  bool out_f32 = false;
  bool accumulate = false;  // out += x w^T, rounded once
  bool has_bias = false;    // of out's type
};

struct CublasOperands {
  const void* x = nullptr;     // [rows, cols] BF16
  const void* w = nullptr;     // [n, cols] BF16
  const void* bias = nullptr;  // [n]
  void* out = nullptr;         // [rows, n]
};

class CublasLinear {
 public:
  static Result<std::unique_ptr<CublasLinear>> create(CudaContext& context);
  ~CublasLinear();
  CublasLinear(const CublasLinear&) = delete;
  CublasLinear& operator=(const CublasLinear&) = delete;

  // workspace: kCublasWorkspaceBytes, 256-byte aligned.
  cudaError_t run(const CublasProblem& problem, const CublasOperands& operands, std::byte* workspace);

  // Remembers what run() is given until the next tune().
  void watch() { watching_ = true; }
  // Times the likely algorithms for each class that was seen and pins the best, unless an earlier run did;
  // outputs are written again. All layers' products of a shape are timed in turn: their weights come from
  // memory, as in a step. Waits for the stream.
  Status tune(std::byte* workspace);

  // Products of up to how many rows share an algorithm with this many.
  static int64_t class_of(int64_t rows);

 private:
  using Key = AlgorithmStore::Key;
  static constexpr int kMaxCandidates = 8;
  static constexpr float kNearBest = 1.05F;
  static constexpr int kFinalRounds = 2;

  struct Seen {
    CublasProblem problem;
    std::vector<CublasOperands> operands;
  };

  CublasLinear(CudaContext& context, AlgorithmStore store) : context_(context), store_(std::move(store)) {}
  Status tune(const Seen& seen, std::byte* workspace);
  // Whether an earlier run's choice is there and computes this product; it is pinned then.
  bool choose_known(const Seen& seen, std::byte* workspace);
  static Key key_of(const CublasProblem& problem);
  // Fills `found` with the heuristic's choices, best first; how many.
  int candidates(const CublasProblem& problem, std::span<cublasLtMatmulHeuristicResult_t> found);
  cublasStatus_t multiply(const CublasProblem& problem, const CublasOperands& operands,
                          const cublasLtMatmulAlgo_t& algorithm, std::byte* workspace);
  // Microseconds a product, or a negative number when the algorithm does not take the problem.
  float time(const CublasProblem& problem, std::span<const CublasOperands> alike,
             const cublasLtMatmulAlgo_t& algorithm, std::byte* workspace, int repeats);

  CudaContext& context_;
  AlgorithmStore store_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, cublasLtMatmulAlgo_t> pinned_;
  std::map<Key, Seen> seen_;
  bool watching_ = false;
};

}  // namespace pegainfer
