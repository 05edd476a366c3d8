# Every third-party package, as one imported or interface target each.
find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(Boost CONFIG REQUIRED COMPONENTS program_options unit_test_framework)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

# LibTorch comes from the Python wheel (see scripts/setup.sh): a folder with torch/ and nvidia/.
# The wheel's own CMake package asks for CUDA even where only the CPU is used, so it is not used.
if(MTRAIN_CUDA)
  set(libtorch_folder libtorch-cuda)
else()
  set(libtorch_folder libtorch)
endif()
set(MTRAIN_LIBTORCH "${CMAKE_SOURCE_DIR}/.deps/${libtorch_folder}" CACHE PATH
    "folder that holds the unpacked torch wheel")
find_library(TORCH_CPU_LIBRARY torch_cpu PATHS "${MTRAIN_LIBTORCH}/torch/lib"
             NO_DEFAULT_PATH REQUIRED)
find_library(C10_LIBRARY c10 PATHS "${MTRAIN_LIBTORCH}/torch/lib" NO_DEFAULT_PATH REQUIRED)
file(GLOB MTRAIN_NVIDIA_LIB_DIRS "${MTRAIN_LIBTORCH}/nvidia/*/lib")
add_library(aten INTERFACE)
target_include_directories(aten SYSTEM INTERFACE "${MTRAIN_LIBTORCH}/torch/include")
target_link_libraries(aten INTERFACE "${TORCH_CPU_LIBRARY}" "${C10_LIBRARY}")
target_link_options(aten INTERFACE "LINKER:-rpath,${MTRAIN_LIBTORCH}/torch/lib"
                    "LINKER:-rpath-link,${MTRAIN_LIBTORCH}/torch/lib")
foreach(dir ${MTRAIN_NVIDIA_LIB_DIRS})
  target_link_options(aten INTERFACE "LINKER:-rpath,${dir}" "LINKER:-rpath-link,${dir}")
endforeach()

# MPI's C++ bindings were removed from the standard; keep their headers out.
add_library(mpi INTERFACE)
target_compile_definitions(mpi INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
target_link_libraries(mpi INTERFACE MPI::MPI_C)

add_library(hdf5 INTERFACE)
target_include_directories(hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_link_libraries(hdf5 INTERFACE ${HDF5_LIBRARIES})
