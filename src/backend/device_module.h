// The CUDA backend is a module that is loaded when somebody asks for it, so that the executable starts on
// machines without any NVIDIA library.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace pegainfer {

// The module's file: $PEGAINFER_CUDA_MODULE, else libpegainfer_cuda.so beside the executable or in
// ../lib/pegainfer from there; "" when there is none.
[[nodiscard]] std::string find_cuda_module();

// Whether an NVIDIA driver has a device here, as far as the kernel's device nodes tell.
[[nodiscard]] bool has_nvidia_device();

// The backend of CUDA device `index`. An error says what is missing: the module, a library it needs, the
// driver, the device. A module stays loaded.
Result<std::unique_ptr<Backend>> create_cuda_backend(int index, bool check_every_op);

}  // namespace pegainfer
