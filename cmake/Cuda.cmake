# The CUDA build (MTRAIN_CUDA): nvcc from the toolkit in PATH, libraries from the torch wheel, so
# that the program and LibTorch share one of each.
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
# CMake 3.25 does not know yet that nvcc takes it.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 --expt-relaxed-constexpr -lineinfo")
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
add_compile_definitions(MTRAIN_CUDA)

file(GLOB cudnn_frontend "${CMAKE_SOURCE_DIR}/.deps/cudnn-frontend-*")
set(MTRAIN_CUDNN_FRONTEND "${cudnn_frontend}" CACHE PATH
    "folder that holds include/cudnn_frontend.h")

# cuda_library(TARGET FILE FOLDER): an imported target of one library of the wheel.
function(cuda_library target file folder)
  find_library(${target}_LIBRARY NAMES ${file} PATHS "${MTRAIN_LIBTORCH}/${folder}/lib"
               NO_DEFAULT_PATH REQUIRED)
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE "${${target}_LIBRARY}")
  if(EXISTS "${MTRAIN_LIBTORCH}/${folder}/include")
    target_include_directories(${target} SYSTEM INTERFACE "${MTRAIN_LIBTORCH}/${folder}/include")
  endif()
endfunction()

add_library(cuda_headers INTERFACE)
target_include_directories(cuda_headers SYSTEM INTERFACE "${MTRAIN_LIBTORCH}/nvidia/cu13/include")
cuda_library(cudart libcudart.so.13 nvidia/cu13)
cuda_library(cupti libcupti.so.13 nvidia/cu13)
cuda_library(cublas libcublas.so.13 nvidia/cu13)
cuda_library(nvrtc libnvrtc.so.13 nvidia/cu13)
cuda_library(cudnn libcudnn.so.9 nvidia/cudnn)
target_include_directories(cudnn SYSTEM INTERFACE "${MTRAIN_CUDNN_FRONTEND}/include")
cuda_library(nccl libnccl.so.2 nvidia/nccl)
cuda_library(c10_cuda libc10_cuda.so torch)
cuda_library(torch_cuda libtorch_cuda.so torch)

# Operators on CUDA tensors register themselves when libtorch_cuda is loaded: nobody names a symbol
# of it, so the linker must be told to keep it.
target_link_libraries(aten INTERFACE "-Wl,--no-as-needed" torch_cuda c10_cuda cudart "-Wl,--as-needed")
