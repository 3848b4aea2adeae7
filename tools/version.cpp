#include "version.hpp"

#include <cuda.h>
#include <fmt/format.h>

namespace opforge::tools {

BuildVersion build_version() {
    return {OPFORGE_VERSION, OPFORGE_BUILD_TYPE,
#ifdef __clang__
            "clang " __clang_version__,
#else
            "gcc " __VERSION__,
#endif
            fmt::format("{}.{}", CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10)};
}

std::string version_line(const BuildVersion& build) {
    return fmt::format("opforge {} ({}, {}, CUDA headers {})\n", build.version, build.build_type,
                       build.compiler, build.cuda_headers);
}

}  // namespace opforge::tools
