// How a forked child of a test ends.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#ifdef OPFORGE_COVERAGE
extern "C" void __gcov_dump();
#endif

namespace opforge::test {

/// As _exit, which runs no exit handlers; what the child covered is kept.
[[noreturn]] inline void leave(int code) {
#ifdef OPFORGE_COVERAGE
    // What it is kept in may be larger than a test let the child's files be.
    rlimit files{};
    ::getrlimit(RLIMIT_FSIZE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_FSIZE, &files);
    __gcov_dump();
#endif
    ::_exit(code);
}

}  // namespace opforge::test
