# opforge_embed_kernels(<library> FUNCTION <qualified::function> SOURCES <file>... [HEADERS <file>...] BASE_DIRS <dir>...
#                       [EXPORT_MACRO <macro>] [BASE_LIBRARY <target>])
#
# Makes the static library <library> that carries kernel text, and the header <opforge/embedded/<library>.hpp> with
#
#     const opforge::EmbeddedSources& <qualified::function>();
#
# A file's virtual name, the one that #include "..." takes, is its path relative to the innermost of BASE_DIRS that holds
# it. Digests and header closures are computed when the library is built, never at run time, and again whenever a file
# changes. Kernel text is hermetic: an #include of anything but one of HEADERS, in quotes, stops the build.
# EXPORT_MACRO stands before the function, where it is part of a shared library's interface; BASE_LIBRARY is the library of
# <opforge/base/embedded_sources.hpp>, opforge::base if not given.
# Works from opforge's own tree, from a parent project's and from an installed package.

function(opforge_embed_kernels library)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FUNCTION;EXPORT_MACRO;BASE_LIBRARY"
    "SOURCES;HEADERS;BASE_DIRS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "opforge_embed_kernels(${library}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(needed FUNCTION SOURCES BASE_DIRS)
    if(NOT arg_${needed})
      message(FATAL_ERROR "opforge_embed_kernels(${library}): ${needed} is missing")
    endif()
  endforeach()
  if(NOT arg_FUNCTION MATCHES "^([A-Za-z_][A-Za-z0-9_]*)(::[A-Za-z_][A-Za-z0-9_]*)*$")
    message(FATAL_ERROR "opforge_embed_kernels(${library}): FUNCTION ${arg_FUNCTION} is not a qualified C++ name")
  endif()

  if(NOT arg_BASE_LIBRARY)
    set(arg_BASE_LIBRARY opforge::base)
  endif()
  set(export "")
  set(include_export "")
  if(arg_EXPORT_MACRO)
    set(export "${arg_EXPORT_MACRO} ")
    set(include_export "\n#include <opforge/base/export.hpp>")
  endif()

  # Virtual names. The innermost base directory wins, so that a nested include root can be named beside its parent.
  set(bases "")
  foreach(base IN LISTS arg_BASE_DIRS)
    cmake_path(ABSOLUTE_PATH base BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    string(REGEX REPLACE "/$" "" base "${base}")
    list(APPEND bases "${base}")
  endforeach()
  set(all_names "")
  foreach(kind SOURCES HEADERS)
    set(${kind}_names "")
    set(${kind}_files "")
    foreach(file IN LISTS arg_${kind})
      cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
      set(name "")
      foreach(base IN LISTS bases)
        cmake_path(IS_PREFIX base "${file}" inside)
        if(inside)
          cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${base}" OUTPUT_VARIABLE relative)
          string(LENGTH "${relative}" length)
          string(LENGTH "${name}" best)
          if(NOT name OR length LESS best)
            set(name "${relative}")
          endif()
        endif()
      endforeach()
      if(NOT name)
        message(FATAL_ERROR "opforge_embed_kernels(${library}): ${file} is below none of BASE_DIRS")
      endif()
      if(name IN_LIST all_names)
        message(FATAL_ERROR "opforge_embed_kernels(${library}): two files have the virtual name ${name}")
      endif()
      if(NOT name MATCHES "^[A-Za-z0-9_./+-]+$")
        message(FATAL_ERROR "opforge_embed_kernels(${library}): ${name}: a virtual name has letters, digits and _./+- only")
      endif()
      list(APPEND all_names "${name}")
      list(APPEND ${kind}_names "${name}")
      list(APPEND ${kind}_files "${file}")
    endforeach()
  endforeach()

  string(REGEX MATCH "^(.*)::([^:]+)$" qualified "${arg_FUNCTION}")
  if(qualified)
    set(namespace "${CMAKE_MATCH_1}")
    set(declaration "namespace ${CMAKE_MATCH_1} {\n\n")
    set(closing "\n}  // namespace ${CMAKE_MATCH_1}\n")
    set(function "${CMAKE_MATCH_2}")
  else()
    set(namespace "")
    set(declaration "")
    set(closing "")
    set(function "${arg_FUNCTION}")
  endif()
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${library}_embedded)
  set(header ${folder}/include/opforge/embedded/${library}.hpp)
  file(CONFIGURE OUTPUT ${header} @ONLY CONTENT [==[// Made by opforge_embed_kernels(@library@): do not edit.
#pragma once

#include <opforge/base/embedded_sources.hpp>@include_export@

@declaration@/// The kernel text embedded in the library @library@. Static storage; any thread.
[[nodiscard]] @export@const opforge::EmbeddedSources& @function@() noexcept;
@closing@]==])

  # The script's input is a file: a changed list of files then rebuilds under every generator.
  set(input ${folder}/input.cmake)
  set(output ${folder}/${library}.cpp)
  set(text "set(library [==[${library}]==])\nset(namespace [==[${namespace}]==])\nset(function [==[${function}]==])\n")
  string(APPEND text "set(output [==[${output}]==])\n")
  foreach(kind SOURCES HEADERS)
    string(APPEND text "set(${kind}_names [==[${${kind}_names}]==])\nset(${kind}_files [==[${${kind}_files}]==])\n")
  endforeach()
  file(CONFIGURE OUTPUT ${input} @ONLY CONTENT "@text@")

  set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/embed_kernels_script.cmake)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -D input=${input} -P ${script}
    DEPENDS ${input} ${script} ${SOURCES_files} ${HEADERS_files}
    COMMENT "Embedding the kernel sources of ${library}"
    VERBATIM)

  add_library(${library} STATIC ${output})
  target_sources(${library} PUBLIC FILE_SET HEADERS BASE_DIRS ${folder}/include FILES ${header})
  target_link_libraries(${library} PUBLIC ${arg_BASE_LIBRARY})
endfunction()
