// What a cubin says of its kernels, read from its ELF sections: no driver, no tool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace opforge::builder {

/// Registers a thread and static shared memory a block, as `ptxas -v` prints them; -1 where the
/// cubin does not tell.
struct KernelFacts {
    std::string name;
    std::int64_t registers = -1;
    std::int64_t static_shared_bytes = -1;
};

/// One record for each kernel. Empty for what is no cubin; a damaged one gives what is readable.
/// Never throws on content.
[[nodiscard]] std::vector<KernelFacts> read_cubin_facts(std::span<const std::byte> cubin);

}  // namespace opforge::builder
