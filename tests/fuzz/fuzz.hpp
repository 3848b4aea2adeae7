// What the fuzzers share. A parser may refuse an input with a typed error of ours; anything else
// that leaves it, and any property that does not hold, is a find. libFuzzer runs one thread.
#pragma once

#include <opforge/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

// libFuzzer's own: one of its mutations, in place.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace opforge::fuzz {

/// Not assert: the fuzzers are optimised builds.
inline void require(bool holds, const char* property) {
    if (!holds) {
        std::fprintf(stderr, "the property does not hold: %s\n", property);
        std::abort();
    }
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Runs `parse`; true where it took the input, false where it refused it as it should.
template <typename Parse>
bool taken(const Parse& parse) {
    try {
        parse();
        return true;
    } catch (const Error& error) {
        require(std::strlen(error.what()) > 0, "a refusal says why");
        return false;
    }
}

/// Puts `text` in the place of the input, where it fits. @returns its size, or `size`
inline std::size_t replace(std::string_view text, std::uint8_t* data, std::size_t size,
                           std::size_t max_size) {
    if (text.size() > max_size) {
        return size;
    }
    std::memcpy(data, text.data(), text.size());
    return text.size();
}

/// The mutator of a fuzzer whose seeds are in its code: an empty input, and now and then any other,
/// becomes a seed. Files of seeds would have to follow each change of a format by hand.
inline std::size_t mutate_from_seeds(std::span<const std::string> seeds, std::uint8_t* data,
                                     std::size_t size, std::size_t max_size, unsigned random) {
    if (size <= 1 || random % 64 == 0) {
        size = replace(seeds[random / 64 % seeds.size()], data, size, max_size);
    }
    return LLVMFuzzerMutate(data, size, max_size);
}

}  // namespace opforge::fuzz
