# mtrain_program(NAME SOURCES ... USES layers... [LINKS packages...]): one of the programs for users.
# All are built by the target 'programs', into bin/ of the build folder; make links them to the root.
add_custom_target(programs)

function(mtrain_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  foreach(layer ${ARG_USES})
    target_link_libraries(${name} PRIVATE mtrain_${layer})
  endforeach()
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
  mtrain_use_pch(${name} ${ARG_LINKS})
  add_dependencies(programs ${name})
endfunction()
