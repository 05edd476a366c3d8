# Boost.Test programs, registered with ctest.
# mtrain_test(NAME LABEL unit|golden|mpi|gpu|run SOURCES ... USES layers... [NP 1 2 4])
# NP registers the program once per rank count, under a real mpirun.
find_program(MPIRUN NAMES mpirun REQUIRED)
set(MTRAIN_MPIRUN "${MPIRUN}" --oversubscribe --bind-to none --allow-run-as-root)

function(mtrain_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;USES;LINKS;NP" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE BOOST_TEST_DYN_LINK
    MTRAIN_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MTRAIN_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  foreach(layer ${ARG_USES})
    target_link_libraries(${name} PRIVATE mtrain_${layer})
  endforeach()
  target_link_libraries(${name} PRIVATE Boost::unit_test_framework ${ARG_LINKS})
  mtrain_use_pch(${name} ${ARG_LINKS})
  if(NOT ARG_NP)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} ENVIRONMENT "OMP_NUM_THREADS=1")
  endif()
  foreach(ranks ${ARG_NP})
    add_test(NAME ${name}_np${ranks} COMMAND ${MTRAIN_MPIRUN} -np ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}_np${ranks} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300
                         PROCESSORS 2 ENVIRONMENT "OMP_NUM_THREADS=1")
  endforeach()
endfunction()
