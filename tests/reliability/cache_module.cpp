// A module that holds a cache of its own, as a plug-in of a host would: opened, used and closed by
// fork_test.cpp.
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"

#include <exception>

/// 1 where a compile was served and kept.
extern "C" __attribute__((visibility("default"))) int use_a_cache(const char* root) {
    using namespace opforge;
    try {
        cache::Cache cache({root, false});
        const cache::Result result =
            cache.find_or_build(test::sample_lookup(), [] { return test::sample_built(); });
        return result.entry && cache.counters().published == 1 ? 1 : 0;
    } catch (const std::exception&) {
        return 0;
    }
}
