# mtrain_layer(NAME SOURCES ... USES layers... LINKS packages...): one static library per layer.
# USES lists the layers it may include; tests/style checks the same table on the sources.
function(mtrain_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(mtrain_${name} STATIC ${ARG_SOURCES})
  target_include_directories(mtrain_${name} PUBLIC "${CMAKE_SOURCE_DIR}/include"
                             PRIVATE "${CMAKE_SOURCE_DIR}/src/${name}")
  foreach(layer ${ARG_USES})
    target_link_libraries(mtrain_${name} PUBLIC mtrain_${layer})
  endforeach()
  target_link_libraries(mtrain_${name} PUBLIC ${ARG_LINKS})
  mtrain_use_pch(mtrain_${name} ${ARG_LINKS})
endfunction()

# Every file that includes ATen pays seconds for it: share one precompiled header.
add_library(mtrain_pch OBJECT "${CMAKE_SOURCE_DIR}/cmake/pch.cpp")
target_link_libraries(mtrain_pch PUBLIC aten)
target_precompile_headers(mtrain_pch PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:<ATen/ATen.h$<ANGLE-R>>")

function(mtrain_use_pch target)
  if("aten" IN_LIST ARGN)
    target_precompile_headers(${target} REUSE_FROM mtrain_pch)
  endif()
endfunction()
