# libopforge.so: all folders of the library in one file, of the same objects as the static libraries. One file, because six
# would cost a process five more openings and relocations at its start.

# opforge_link_as_shared(<target> <output name>): what every shared library of ours has.
function(opforge_link_as_shared target output)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/opforge.map.in ${PROJECT_BINARY_DIR}/opforge.map @ONLY)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${output} LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${PROJECT_BINARY_DIR}/opforge.map)
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${PROJECT_BINARY_DIR}/opforge.map
    # Its threads, its atfork handler and what a host keeps of it outlive a dlclose().
    -Wl,-z,nodelete
    # A second opforge of the process, linked statically into some plugin, must not answer our own calls.
    -Wl,-Bsymbolic-functions)
  if(NOT OPFORGE_SANITIZE)  # a sanitizer's runtime comes with the program
    # A public declaration without OPFORGE_API stops the build here, not the user's.
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# The shared library of the folders built so far, as opforge_shared; for this tree's users opforge_<folder>_shared.
function(opforge_add_shared_library)
  add_library(opforge_shared SHARED)
  opforge_link_as_shared(opforge_shared opforge)
  set_target_properties(opforge_shared PROPERTIES EXPORT_NAME opforge)
  target_compile_features(opforge_shared PUBLIC cxx_std_20)
  target_link_libraries(opforge_shared
    PUBLIC Threads::Threads ${CMAKE_DL_LIBS} PRIVATE $<BUILD_INTERFACE:opforge_strict> $<BUILD_INTERFACE:opforge_crypto>)
  foreach(folder IN LISTS OPFORGE_FOLDERS)
    target_sources(opforge_shared PRIVATE $<TARGET_OBJECTS:opforge_${folder}>)
    target_include_directories(opforge_shared INTERFACE
      $<BUILD_INTERFACE:$<TARGET_PROPERTY:opforge_${folder},INTERFACE_INCLUDE_DIRECTORIES>>)
    add_library(opforge_${folder}_shared INTERFACE)
    target_link_libraries(opforge_${folder}_shared INTERFACE opforge_shared)
  endforeach()
endfunction()
