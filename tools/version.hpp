// What this build is.
#pragma once

#include <string>

namespace opforge::tools {

struct BuildVersion {
    std::string version;       // "0.1.0"
    std::string build_type;    // "Release"
    std::string compiler;      // "gcc 12.2.0"
    std::string cuda_headers;  // "13.0"
};
[[nodiscard]] BuildVersion build_version();
/// "opforge 0.1.0 (Release, gcc 12.2.0, CUDA headers 13.0)" and a newline
[[nodiscard]] std::string version_line(const BuildVersion& build);

}  // namespace opforge::tools
