# Run by ctest: the steps of examples/container, in -D folder=<scratch> for a root and -D installed=<folder> for the .deb files.
cmake_minimum_required(VERSION 3.25)

# The Dockerfile says nothing that the script does not do, and in the same order.
file(STRINGS ${dockerfile} lines REGEX "steps.sh")
string(REGEX MATCHALL "steps\\.sh\"?,? \"?(build|prewarm|check|run)" steps "${lines}")
list(TRANSFORM steps REPLACE ".* \"?" "")
if(NOT steps STREQUAL "build;prewarm;check;run")
  message(FATAL_ERROR "the Dockerfile runs the steps ${steps}")
endif()

file(REMOVE_RECURSE ${folder})
file(MAKE_DIRECTORY ${folder}/app)
execute_process(COMMAND ${CMAKE_COMMAND} -E env APP=${folder}/app CMAKE_PREFIX_PATH=${installed} ARCHITECTURES=8.0,9.0
    sh ${script} OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE result)
if(result EQUAL 5)
  message("SKIPPED: no usable libnvrtc")
  return()
endif()
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${script}: ${result}\n${text}")
endif()
if(NOT text MATCHES "own_op: (on the GPU, 3 |triple for sm_90: from the cache)")
  message(FATAL_ERROR "the application did not run from its kernels:\n${text}")
endif()
# Where something is missing, the check says so: exit code 8.
execute_process(COMMAND ${CMAKE_COMMAND} -E env APP=${folder}/app ARCHITECTURES=8.9 sh ${script} check
  OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 8)
  message(FATAL_ERROR "the check of an architecture that was not prewarmed ended with ${result}")
endif()
