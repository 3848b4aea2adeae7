// The calls whose host cost is measured.
#pragma once

#include <opforge/runtime/ds_quantizer.hpp>

#include <cstdint>
#include <vector>

namespace opforge::bench {

/// A ds_quantizer call of one launch, short on the device: what is measured is the host.
struct DispatchCall {
    const char* name;
    runtime::Dtype dtype = runtime::Dtype::float16;
    std::int64_t elements = 0;
    std::int64_t groups = 1;
    bool stochastic = false;
    bool asymmetric = false;
    bool own_stream = true;  // else the default stream
    bool in_place = false;
};

[[nodiscard]] inline std::vector<DispatchCall> dispatch_calls() {
    using runtime::Dtype;
    constexpr std::int64_t kKi = 1024;
    return {
        {"groups of 128", Dtype::float16, 16 * kKi, 128},
        {"groups of 128, in place, default stream", Dtype::float16, 16 * kKi, 128, false, false,
         false, true},
        {"groups of 128, stochastic", Dtype::float16, 16 * kKi, 128, true},
        {"groups of 128, asymmetric, fp32", Dtype::float32, 16 * kKi, 128, false, true},
        {"groups of 8 Ki", Dtype::float16, 16 * kKi, 2},
        {"groups of 100", Dtype::bfloat16, 12800, 128},
    };
}

}  // namespace opforge::bench
