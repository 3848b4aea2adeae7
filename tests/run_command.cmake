# run(<variable> <command>...): what the command says, in the variable; its failure ends the test.
function(run output)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}\n${text}")
  endif()
  set(${output} "${text}" PARENT_SCOPE)
endfunction()
