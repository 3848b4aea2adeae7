// How much a cache may hold. Values only.
#pragma once

#include <opforge/base/export.hpp>

#include <cstdint>
#include <string_view>

namespace opforge::cache {

/// 0: as much as there is room for.
struct Limits {
    std::uint64_t max_bytes = std::uint64_t{1} << 30U;  // manifests and artifacts
    std::uint64_t max_entries = 20000;
};

/// "1073741824", "512M", "1.5 GiB": bytes, or with K, M, G, T (all binary: 1K is 1024), "iB" and
/// "B" behind them or not.
/// @param what  names the text in an error: "OPFORGE_CACHE_MAX_SIZE"
/// @throws InvalidArgument for anything else
[[nodiscard]] OPFORGE_API std::uint64_t parse_size(std::string_view text, std::string_view what);

/// The defaults, with OPFORGE_CACHE_MAX_SIZE in the place of `max_bytes` where it is set.
/// @throws InvalidArgument where it is no size
[[nodiscard]] OPFORGE_API Limits limits_of_environment();

}  // namespace opforge::cache
