# The installed package: `cmake --install`, find_package(opforge), pkg-config. Included after the folders.
#
# Components of an installation: `runtime` (what a program needs to run), `development` (to be built against), `tools`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(opforge_default_shared ${BUILD_SHARED_LIBS})
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
