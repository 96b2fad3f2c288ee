# quell_module(NAME [DEPENDS module...] [PRIVATE library...] [PUBLIC library...] [SOURCES_EXCLUDE regex])
#
# Makes the library quell_NAME of every .cc under the calling folder. Its headers are reachable as "NAME/..." only by targets
# that link it: each module has an include root of its own, a link farm with one entry.
function(quell_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE;PUBLIC" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(quell_${name} STATIC ${sources})
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} SYMBOLIC)
  target_include_directories(quell_${name} PUBLIC ${root})
  target_link_libraries(quell_${name} PUBLIC quell_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  foreach(module ${ARG_DEPENDS})
    target_link_libraries(quell_${name} PUBLIC quell_${module})
  endforeach()
endfunction()
