// A fake quantization whose arguments have been checked: what both backends are given.
#pragma once

#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>

namespace opforge::runtime {

struct FakeQuantizeTask {
    const void* input = nullptr;
    void* output = nullptr;  // may be `input`
    Dtype dtype = Dtype::float16;
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int bits = 8;
    bool stochastic = false;
    bool asymmetric = false;
    RandomState random;

    // Out of line: the host backend is compiled for several instruction sets, and an inline
    // function's one surviving copy might be the one that the machine lacks instructions for.
    [[nodiscard]] float levels() const noexcept;    // 2^bits
    [[nodiscard]] float code_min() const noexcept;  // symmetric: -2^(bits-1); asymmetric: 0
    [[nodiscard]] float
    code_max() const noexcept;  // symmetric: 2^(bits-1) - 1; asymmetric: 2^bits - 1
};

}  // namespace opforge::runtime
