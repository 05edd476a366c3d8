# How tests are registered with ctest. Labels: unit fuzz mpi gpu run golden slurm style.
# OMP_NUM_THREADS=1: ctest runs several tests at a time, one per core.
set(MTRAIN_TEST_ENV OMP_NUM_THREADS=1 HWLOC_HIDE_ERRORS=2)
set(MTRAIN_MPIRUN "${CMAKE_SOURCE_DIR}/scripts/local_mpirun")

# mtrain_test(NAME LABEL label SOURCES ... USES layers... [LINKS packages...] [NP 1 2 4])
# A Boost.Test program. NP registers it once per rank count, under a real mpirun.
function(mtrain_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;USES;LINKS;NP" ${ARGN})
  mtrain_test_program(${name} SOURCES ${ARG_SOURCES} USES ${ARG_USES} LINKS ${ARG_LINKS})
  if(NOT ARG_NP)
    mtrain_test_command(${name} LABEL ${ARG_LABEL} COMMAND ${name})
  endif()
  foreach(ranks ${ARG_NP})
    mtrain_test_command(${name}_np${ranks} LABEL ${ARG_LABEL} NP ${ranks}
                        COMMAND ${MTRAIN_MPIRUN} -np ${ranks} $<TARGET_FILE:${name}>)
  endforeach()
endfunction()

# mtrain_gpu_test(NAME SOURCES ... USES layers... LINKS packages... NP 1 2 4 BACKENDS mpi nccl)
# An MPI test program over CUDA tensors, once per rank count and backend (tests/support/
# mpi_main.hpp). It prints "skipped: " and why where there is no GPU for it. The ranks may share
# one: NCCL is then told to allow it and to use few thread blocks, all of which must fit on it.
# Kernels are loaded before the first runs: loading one later may wait for a transfer that waits
# for its peer.
function(mtrain_gpu_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS;NP;BACKENDS" ${ARGN})
  mtrain_test_program(${name} SOURCES ${ARG_SOURCES} USES ${ARG_USES} LINKS ${ARG_LINKS})
  foreach(backend ${ARG_BACKENDS})
    foreach(ranks ${ARG_NP})
      set(test ${name}_${backend}_np${ranks})
      mtrain_test_command(${test} LABEL gpu NP ${ranks}
                          COMMAND ${MTRAIN_MPIRUN} -np ${ranks} $<TARGET_FILE:${name}>
                                  --log_level=message -- cuda ${backend})
      math(EXPR max_ctas "16 / ${ranks}")
      math(EXPR queues "32 / ${ranks}")
      set_tests_properties(${test} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " ENVIRONMENT
        "${MTRAIN_TEST_ENV};CUDA_MODULE_LOADING=EAGER;CUDA_DEVICE_MAX_CONNECTIONS=${queues}\
;NCCL_MULTI_RANK_GPU_ENABLE=1;NCCL_MAX_CTAS=${max_ctas}")
    endforeach()
  endforeach()
endfunction()

# mtrain_test_program(NAME SOURCES ... USES layers... LINKS packages...): the program alone.
function(mtrain_test_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE BOOST_TEST_DYN_LINK
    MTRAIN_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MTRAIN_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  foreach(layer ${ARG_USES})
    target_link_libraries(${name} PRIVATE mtrain_${layer})
  endforeach()
  target_link_libraries(${name} PRIVATE Boost::unit_test_framework ${ARG_LINKS})
  mtrain_use_pch(${name} ${ARG_LINKS})
endfunction()

# mtrain_test_command(NAME LABEL label COMMAND command... [NP ranks] [TIMEOUT seconds])
# Any other command as a test. NP: the ranks it starts, so that ctest leaves them the cores
# (it runs a test that wants more than there are by itself).
function(mtrain_test_command name)
  cmake_parse_arguments(ARG "" "LABEL;NP;TIMEOUT" "COMMAND" ${ARGN})
  if(NOT ARG_NP)
    set(ARG_NP 1)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${ARG_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
                       PROCESSORS ${ARG_NP} ENVIRONMENT "${MTRAIN_TEST_ENV}")
endfunction()
