# The target `docs`: the site of all public headers and documents, in <build>/docs/html. A warning of Doxygen's is an error.
find_program(OPFORGE_DOXYGEN doxygen DOC "Doxygen, for the target docs")
mark_as_advanced(OPFORGE_DOXYGEN)
if(NOT OPFORGE_DOXYGEN)
  return()
endif()

set(documentation_input "\"${PROJECT_SOURCE_DIR}/README.md\"")
foreach(document IN ITEMS ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md docs bench/RESULTS.md)
  string(APPEND documentation_input " \"${PROJECT_SOURCE_DIR}/${document}\"")
endforeach()
set(documentation_include_roots "")
foreach(folder IN LISTS OPFORGE_FOLDERS ITEMS tools)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${folder}/include/opforge AND NOT folder STREQUAL "kernel_sources")
    string(APPEND documentation_input " \"${PROJECT_SOURCE_DIR}/${folder}/include\"")
    string(APPEND documentation_include_roots " \"${PROJECT_SOURCE_DIR}/${folder}/include\"")
  endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
add_custom_target(docs
  COMMAND ${OPFORGE_DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile
  COMMENT "Building the documentation in ${PROJECT_BINARY_DIR}/docs/html"
  VERBATIM)
