// How a fake quantization is launched: a pure function of the tensor's shape and of the device's
// facts.
#pragma once

#include <cstdint>

namespace opforge::runtime {

/// What a plan needs to know of a device; asked of the driver once.
struct PlanFacts {
    int multiprocessors = 1;
    int max_threads_per_block = 1024;
};

struct FakeQuantizeShape {
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int element_bytes = 2;
};

enum class FakeQuantizeKernel : std::uint8_t {
    groups,  // a few lanes of a warp for each group, many groups a block
    block,   // one block a group
    split,   // two launches: ranges of slices, then the slices
};

struct FakeQuantizePlan {
    FakeQuantizeKernel kernel = FakeQuantizeKernel::groups;
    std::uint32_t grid = 0;
    std::uint32_t block = 0;
    std::uint32_t lanes = 0;      // groups: lanes a group, a power of two up to 32
    std::uint32_t slices = 0;     // split: slices a group
    std::int64_t slice_size = 0;  // split: elements a slice, a multiple of 64 but for the last
    std::uint64_t workspace_bytes = 0;  // split: one range a slice
    friend bool operator==(const FakeQuantizePlan&, const FakeQuantizePlan&) = default;
};

[[nodiscard]] FakeQuantizePlan plan_fake_quantize(const FakeQuantizeShape& shape,
                                                  const PlanFacts& facts) noexcept;

}  // namespace opforge::runtime
