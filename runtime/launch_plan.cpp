#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <bit>

namespace opforge::runtime {
namespace {

// As the kernels have them (kernel_sources/quantizer/fake_quantize.cu).
constexpr std::int64_t kVectorBytes = 16;
constexpr std::int64_t kHeldVectors = 4;
constexpr std::int64_t kGroupsThreads = 256;

constexpr std::int64_t kMaxLanes = 32;
constexpr std::int64_t kMaxGrid = 0x7fffffff;
constexpr std::int64_t kSliceAlignment = 64;
constexpr std::int64_t kMinSlice = 16384;  // below this a slice's launch costs more than its bytes
constexpr std::int64_t kRangeBytes = 8;

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

std::int64_t power_of_two_up(std::int64_t value) {
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

std::uint32_t grid_for(std::int64_t blocks) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(blocks, 1, kMaxGrid));
}

}  // namespace

FakeQuantizePlan plan_fake_quantize(const FakeQuantizeShape& shape,
                                    const PlanFacts& facts) noexcept {
    FakeQuantizePlan plan;
    if (shape.groups <= 0 || shape.group_size <= 0) {
        return plan;
    }
    // Input and output that are misaligned unlike each other can't move by vectors: the unit is
    // then an element.
    const bool vectors = shape.input_address % kVectorBytes == shape.output_address % kVectorBytes;
    const std::int64_t unit = vectors ? kVectorBytes / shape.element_bytes : 1;
    const std::int64_t units = divide_up(shape.group_size, unit);
    const std::int64_t multiprocessors = std::max(facts.multiprocessors, 1);

    if (units <= kMaxLanes * kHeldVectors || (!vectors && shape.group_size <= 1024)) {
        plan.kernel = FakeQuantizeKernel::groups;
        plan.block = static_cast<std::uint32_t>(kGroupsThreads);
        // By vectors: as few lanes as hold the group in registers (the parameters are computed by
        // each), but two where there is work for two: neighbouring lanes then fill a 32-byte
        // sector. By elements: neighbours side by side.
        const std::int64_t wanted =
            vectors ? std::max(divide_up(units, kHeldVectors), std::min<std::int64_t>(units, 2))
                    : units;
        const std::int64_t lanes = std::min(power_of_two_up(wanted), kMaxLanes);
        plan.lanes = static_cast<std::uint32_t>(lanes);
        plan.grid = grid_for(divide_up(shape.groups, kGroupsThreads / lanes));
        return plan;
    }

    const std::int64_t most_threads =
        std::clamp<std::int64_t>(facts.max_threads_per_block / 32 * 32, 32, 1024);
    const bool held = vectors && units <= most_threads * kHeldVectors;
    if (held || shape.groups >= 2 * multiprocessors || shape.group_size < 2 * kMinSlice) {
        plan.kernel = FakeQuantizeKernel::block;
        const std::int64_t threads = divide_up(divide_up(units, kHeldVectors), 32) * 32;
        plan.block = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
            threads, std::min<std::int64_t>(128, most_threads), most_threads));
        plan.grid = grid_for(shape.groups);
        return plan;
    }

    // Four slices a multiprocessor: two resident blocks each, twice over, so that a slow block
    // evens out.
    plan.kernel = FakeQuantizeKernel::split;
    plan.block = static_cast<std::uint32_t>(most_threads);
    const std::int64_t wanted = std::clamp<std::int64_t>(
        divide_up(4 * multiprocessors, shape.groups), 1, divide_up(shape.group_size, kMinSlice));
    plan.slice_size =
        divide_up(divide_up(shape.group_size, wanted), kSliceAlignment) * kSliceAlignment;
    const std::int64_t slices = divide_up(shape.group_size, plan.slice_size);
    plan.slices = static_cast<std::uint32_t>(slices);
    plan.grid = grid_for(shape.groups * slices);
    plan.workspace_bytes = static_cast<std::uint64_t>(shape.groups * slices * kRangeBytes);
    return plan;
}

}  // namespace opforge::runtime
