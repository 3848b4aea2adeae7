# The installed package: `cmake --install`, find_package(opforge), pkg-config. Included after the folders.
#
# Components of an installation: `runtime` (what a program needs to run), `development` (to be built against), `tools`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(OPFORGE_PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/opforge)

# The static libraries, one a folder. Hosts that link them into a shared library of their own do not export them.
set(package_components ${OPFORGE_FOLDERS})
if(TARGET opforge_tool)
  list(APPEND package_components tool)
endif()
set(static_targets opforge_crypto)
foreach(component IN LISTS package_components)
  set_target_properties(opforge_${component} PROPERTIES EXPORT_NAME ${component})
  target_link_options(opforge_${component} INTERFACE
    $<INSTALL_INTERFACE:LINKER:--exclude-libs,libopforge_${component}.a>)
  list(APPEND static_targets opforge_${component})
endforeach()
set_target_properties(opforge_crypto PROPERTIES EXPORT_NAME crypto)
install(TARGETS ${static_targets} EXPORT opforge-static
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT opforge-static NAMESPACE opforge:: FILE opforge-static.cmake
  DESTINATION ${OPFORGE_PACKAGE_FOLDER} COMPONENT development)

# The shared library, and the command line's beside it: only tools need that one.
if(TARGET opforge_shared)
  target_include_directories(opforge_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set(shared_targets opforge_shared)
  if(TARGET opforge_tool)
    add_library(opforge_tool_shared SHARED $<TARGET_OBJECTS:opforge_tool>)
    opforge_link_as_shared(opforge_tool_shared opforge_tool)
    set_target_properties(opforge_tool_shared PROPERTIES EXPORT_NAME tool INSTALL_RPATH $ORIGIN)
    target_link_libraries(opforge_tool_shared PUBLIC opforge_shared PRIVATE $<BUILD_INTERFACE:opforge_strict>)
    list(APPEND shared_targets opforge_tool_shared)
  endif()
  install(TARGETS ${shared_targets} EXPORT opforge-shared
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
  install(EXPORT opforge-shared NAMESPACE opforge:: FILE opforge-shared.cmake
    DESTINATION ${OPFORGE_PACKAGE_FOLDER} COMPONENT development)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/opforge-config.cmake.in
  ${PROJECT_BINARY_DIR}/opforge-config.cmake INSTALL_DESTINATION ${OPFORGE_PACKAGE_FOLDER}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/opforge-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/opforge-config.cmake ${PROJECT_BINARY_DIR}/opforge-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/embed_kernels.cmake ${PROJECT_SOURCE_DIR}/cmake/embed_kernels_script.cmake
  DESTINATION ${OPFORGE_PACKAGE_FOLDER} COMPONENT development)

# opforge.pc is for the shared library where it is built, opforge-static.pc for the static ones.
list(REVERSE package_components)
list(TRANSFORM package_components PREPEND -lopforge_ OUTPUT_VARIABLE static_libraries)
list(FILTER static_libraries EXCLUDE REGEX _tool$)
list(REVERSE package_components)
list(JOIN static_libraries " " static_libraries)
set(static_libraries "-Wl,--exclude-libs,ALL ${static_libraries} -l:libcrypto.a -ldl -pthread")
set(package_libraries "${static_libraries}")
file(RELATIVE_PATH package_config_to_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/opforge.pc.in ${PROJECT_BINARY_DIR}/opforge-static.pc @ONLY)
if(TARGET opforge_shared)
  set(package_libraries "-lopforge")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/opforge.pc.in ${PROJECT_BINARY_DIR}/opforge.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/opforge.pc ${PROJECT_BINARY_DIR}/opforge-static.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

if(TARGET opforge)
  install(TARGETS opforge RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)

# The .deb files: `cpack --config <build>/CPackConfig.cmake`. Named as Debian does: the library by its soname.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME opforge)
set(CPACK_PACKAGE_VENDOR opforge)
set(CPACK_PACKAGE_CONTACT "opforge <opforge@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(library_package libopforge${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Shared library.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libopforge-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS libssl-dev)  # for the static libraries
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers, static libraries, CMake package and pkg-config files.")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME opforge-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "The command opforge: prewarm, explain, report, cache.")
if(TARGET opforge_shared)
  list(APPEND CPACK_COMPONENTS_ALL runtime)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library_package} (= ${PROJECT_VERSION})")
endif()
if(TARGET opforge)
  list(APPEND CPACK_COMPONENTS_ALL tools)
endif()
include(CPack)
