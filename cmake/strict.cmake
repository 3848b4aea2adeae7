# Compile flags that every target of ours takes, and none of our users'.
add_library(opforge_strict INTERFACE)

# -ffp-contract=off: GCC contracts a*b+c by default; the host must round where the contract rounds.
target_compile_options(opforge_strict INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -ffp-contract=off)
# Symbols bound at start, the table of them read-only from then on: hardening, and the first op of a process does not pay
# 0.1 ms for binding a hundred of them one by one.
target_link_options(opforge_strict INTERFACE -Wl,-z,relro,-z,now)
if(OPFORGE_WERROR)
  target_compile_options(opforge_strict INTERFACE -Werror)
endif()

# opforge_compile_fast(<target>): less optimization in a release build of what is built more often than it runs. A third of its
# time to compile.
function(opforge_compile_fast target)
  target_compile_options(${target} PRIVATE $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU,Clang>>:-O1>)
endfunction()

set(OPFORGE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them (address,undefined or thread)")
if(OPFORGE_SANITIZE)
  add_compile_options(-fsanitize=${OPFORGE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${OPFORGE_SANITIZE})
  # GCC's data flow does not survive its own instrumentation: false positives in <regex> and <functional>. The
  # ordinary builds keep the warning.
  target_compile_options(opforge_strict INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

# opforge_without_vptr_checks(<target>...): UBSan looks at a vptr through a pipe, by system calls of its own, which the suites of
# tests/reliability would count, fail and be killed at. For what those suites link.
function(opforge_without_vptr_checks)
  foreach(target IN LISTS ARGN)
    if(OPFORGE_SANITIZE MATCHES "undefined" AND TARGET ${target})
      target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
    endif()
  endforeach()
endfunction()

if(OPFORGE_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "OPFORGE_BUILD_FUZZERS needs clang, for its libFuzzer: the preset `fuzz` has both")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

option(OPFORGE_COVERAGE "Instrument for gcov" OFF)
if(OPFORGE_COVERAGE)
  # Counts of several threads at once, which are negative else.
  add_compile_options(--coverage -O0 -g -fprofile-update=atomic)
  add_compile_definitions(OPFORGE_COVERAGE)
  add_link_options(--coverage)
endif()
