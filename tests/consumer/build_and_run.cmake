# Run by ctest: configures, builds and runs a consumer's project anew.
#   -D source=<its folder> -D folder=<scratch> -D options=<-D…;-D…> -D programs=<name;…> [-D expected=<regex>]
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../run_command.cmake)

file(REMOVE_RECURSE ${folder})
run(ignored ${CMAKE_COMMAND} -S ${source} -B ${folder} ${options})
run(ignored ${CMAKE_COMMAND} --build ${folder})
foreach(program IN LISTS programs)
  run(output ${folder}/${program})
  message("${output}")
  if(expected AND NOT output MATCHES "${expected}")
    message(FATAL_ERROR "${program} printed, instead of ${expected}:\n${output}")
  endif()
endforeach()
