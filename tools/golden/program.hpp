// The program `opforge-golden` as a function, so that tests can run it in their own process.
#pragma once

#include <iosfwd>

namespace opforge::golden {

/// Results go to `out`, complaints to `err`; returns the exit code: 0 all exact or skipped, 1 a
/// case failed, 2 wrong usage, 4 bad or missing input files, 5 no usable NVRTC, 6 the dump cannot
/// be written, 8 offline, 9 no such device, 70 a defect. Throws nothing.
int run_program(int argc, const char* const* argv, std::ostream& out, std::ostream& err) noexcept;

}  // namespace opforge::golden
