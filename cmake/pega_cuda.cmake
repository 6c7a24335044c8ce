# The CUDA backend: found or not, for which architectures, and how its files are compiled. Sets PEGA_CUDA.
# Sanitizer builds leave it out: its own checks are compute-sanitizer's, on a machine with a GPU.

set(PEGA_CUDA OFF)
if(PEGAINFER_CUDA STREQUAL "OFF" OR (PEGAINFER_SANITIZE AND PEGAINFER_CUDA STREQUAL "AUTO"))
  return()
endif()

include(CheckLanguage)
if(NOT PEGAINFER_CUDA_ARCHITECTURES)
  # This machine's GPU when it has one; else the one we tune for and, as PTX, everything from Ampere on.
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE caps ERROR_QUIET
                  RESULT_VARIABLE failed)
  if(NOT failed AND caps MATCHES "^([0-9]+)\\.([0-9]+)")
    set(PEGAINFER_CUDA_ARCHITECTURES "${CMAKE_MATCH_1}${CMAKE_MATCH_2}-real")
    if(PEGAINFER_CUDA_ARCHITECTURES STREQUAL "90-real")
      set(PEGAINFER_CUDA_ARCHITECTURES "90a-real")
    endif()
  else()
    set(PEGAINFER_CUDA_ARCHITECTURES "90a-real;80-virtual")
  endif()
endif()
set(CMAKE_CUDA_ARCHITECTURES ${PEGAINFER_CUDA_ARCHITECTURES})

check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(PEGAINFER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PEGAINFER_CUDA is ON and there is no nvcc: install the CUDA toolkit (12.8 or newer), or put nvcc on PATH")
  endif()
  message(STATUS "no nvcc: the CUDA backend is left out")
  return()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(PEGA_CUDA ON)
message(STATUS "CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

# What goes into the module is position-independent.
function(pega_in_module target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fPIC>)
endfunction()

# pega_cuda_library(<name> SRCS ...): kernels. Their headers see base and tensor only.
function(pega_cuda_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_library(pega_${name} STATIC ${ARG_SRCS})
  target_include_directories(pega_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM ARG_DEPS PREPEND pega_)
  target_link_libraries(pega_${name} PUBLIC ${ARG_DEPS} CUDA::cudart_static)
  target_compile_options(pega_${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo --expt-relaxed-constexpr --Werror=all-warnings -Xcompiler=-fPIC,-Wall,-Wextra>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror -Wno-missing-field-initializers -fPIC>)
endfunction()
