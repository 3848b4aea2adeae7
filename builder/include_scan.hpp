// The textual scan for #include lines, as cmake/embed_kernels_script.cmake has it: `#if` and
// comments are not looked at.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::builder {

struct IncludeLine {
    std::size_t line = 0;   // from 1
    std::size_t begin = 0;  // of the name in the text
    std::string name;       // empty: not a plain name, but a macro, say
    bool quoted = false;
};

[[nodiscard]] std::vector<IncludeLine> scan_includes(std::string_view text);

}  // namespace opforge::builder
