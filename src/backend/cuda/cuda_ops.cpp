#include "backend/cuda/cuda_ops.h"

#include "backend/cuda/cublas_linear.h"

namespace pegainfer {

CudaOps::CudaOps(CudaContext& context)
    : context_(context), attention_scratch_(context), linear_scratch_(context), sampling_scratch_(context) {}

CudaOps::~CudaOps() = default;

Result<std::unique_ptr<CudaOps>> CudaOps::create(CudaContext& context) {
  std::unique_ptr<CudaOps> ops(new CudaOps(context));
  ASSIGN_OR_RETURN(ops->cublas_, CublasLinear::create(context));
  return ops;
}

Status CudaOps::reserve(const StepLimits& limits) {
  const CudaWorkspace bytes = cuda_workspace(limits, context_.device().num_sms);
  RETURN_IF_ERROR(attention_scratch_.reserve(bytes.attention));
  RETURN_IF_ERROR(linear_scratch_.reserve(bytes.linear));
  return sampling_scratch_.reserve(bytes.sampling);
}

}  // namespace pegainfer
