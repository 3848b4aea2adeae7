// What a builder uses where its caller names nothing else. Private.
#pragma once

#include <opforge/builder/op_builder.hpp>
#include <opforge/cache/cache.hpp>

namespace opforge::builder {

/// With the process's cache and, beside it, the NVRTC that is found.
[[nodiscard]] inline BuilderContext with_defaults(BuilderContext context) {
    if (!context.cache) {
        context.cache = cache::process_cache();
    }
    if (!context.compiler) {
        context.compiler = nvrtc_compiler(context.cache->root().path);
    }
    return context;
}

}  // namespace opforge::builder
