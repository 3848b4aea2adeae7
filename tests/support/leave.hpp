// How a forked child of a test ends.
#pragma once

#include <unistd.h>

// Only there in a build of the preset `coverage`.
extern "C" void __gcov_dump() __attribute__((weak));

namespace opforge::test {

/// As _exit, which runs no exit handlers; what the child covered is kept.
[[noreturn]] inline void leave(int code) {
    if (__gcov_dump != nullptr) {
        __gcov_dump();
    }
    ::_exit(code);
}

}  // namespace opforge::test
