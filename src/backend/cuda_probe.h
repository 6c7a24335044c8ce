// What there is of CUDA on this machine, asked of the driver alone: no toolkit, no context, no memory taken.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace pegainfer {

struct ProbedCudaDevice {
  std::string name;
  size_t total_bytes = 0;
  int major = 0, minor = 0;  // compute capability
};

struct CudaProbe {
  bool has_driver = false;    // libcuda is there
  std::string error;          // why there are no devices, "" when there are
  int driver_version = 0;     // the CUDA it supports: 12040 is 12.4
  bool has_cublaslt = false;  // libcublasLt is found by the loader
  std::vector<ProbedCudaDevice> devices;
};

CudaProbe probe_cuda();

}  // namespace pegainfer
