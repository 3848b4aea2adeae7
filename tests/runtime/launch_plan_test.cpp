#include <opforge/runtime/launch_plan.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <bit>
#include <cstdint>
#include <vector>

using namespace opforge::runtime;

namespace {

constexpr PlanFacts kHopper{.multiprocessors = 132,
                            .max_threads_per_block = 1024,
                            .shared_bytes_per_block = 232448,
                            .shared_bytes_per_multiprocessor = 233472};

FakeQuantizePlan plan_of(std::int64_t groups, std::int64_t group_size, int element_bytes = 2,
                         bool aligned = true) {
    return plan_fake_quantize({groups, group_size, element_bytes, aligned}, kHopper);
}

}  // namespace

TEST_CASE("a plan can be launched, whatever the shape", "[runtime]") {
    const bool holds =
        rc::check("grid, block, lanes and slices are in range and cover the tensor", [] {
            const auto groups =
                *rc::gen::oneOf(rc::gen::inRange<std::int64_t>(1, 5000),
                                rc::gen::inRange<std::int64_t>(1, std::int64_t{1} << 34));
            const auto size =
                *rc::gen::oneOf(rc::gen::inRange<std::int64_t>(1, 5000),
                                rc::gen::inRange<std::int64_t>(1, std::int64_t{1} << 34));
            const int bytes = *rc::gen::element(2, 4);
            const PlanFacts facts{.multiprocessors = *rc::gen::inRange(1, 200),
                                  .max_threads_per_block = *rc::gen::element(256, 512, 1024),
                                  .shared_bytes_per_block = *rc::gen::element(0, 49152, 232448),
                                  .shared_bytes_per_multiprocessor = 233472};
            const bool aligned = *rc::gen::arbitrary<bool>();
            const FakeQuantizePlan plan = plan_fake_quantize({groups, size, bytes, aligned}, facts);

            RC_ASSERT(plan.grid >= 1U);
            RC_ASSERT(plan.grid <= 0x7fffffffU);
            RC_ASSERT(plan.block % 32 == 0U);
            RC_ASSERT(plan.block >= 32U);
            RC_ASSERT(plan.block <= static_cast<unsigned>(facts.max_threads_per_block));
            RC_ASSERT(plan.shared_bytes <= most_shared_bytes(facts));
            RC_ASSERT(plan.shared_bytes == 0U || plan.kernel == FakeQuantizeKernel::block);
            switch (plan.kernel) {
            case FakeQuantizeKernel::groups:
                RC_ASSERT(aligned);
                RC_ASSERT(std::has_single_bit(plan.lanes));
                RC_ASSERT(plan.lanes <= 32U);
                break;
            case FakeQuantizeKernel::block:
                RC_ASSERT(aligned);
                RC_ASSERT(plan.lanes == plan.block);
                break;
            case FakeQuantizeKernel::any:
                RC_ASSERT(!aligned);
                RC_ASSERT(plan.lanes == plan.block ||
                          (std::has_single_bit(plan.lanes) && plan.lanes <= 32U));
                break;
            case FakeQuantizeKernel::split:
                RC_ASSERT(plan.lanes == plan.block);
                RC_ASSERT(plan.slice_size % 64 == 0);
                RC_ASSERT(plan.slices * plan.slice_size >= size);
                RC_ASSERT((plan.slices - 1) * plan.slice_size < size);
                RC_ASSERT(plan.workspace_bytes ==
                          static_cast<std::uint64_t>(groups) * plan.slices * 8);
                break;
            }
        });
    CHECK(holds);
}

TEST_CASE("small groups share a warp", "[runtime]") {
    for (const std::int64_t size : {1, 8, 16, 64, 100, 256}) {
        CAPTURE(size);
        const FakeQuantizePlan plan = plan_of(4096, size);
        CHECK(plan.kernel == FakeQuantizeKernel::groups);
        // One chunk of eight values a lane, or none.
        CHECK(plan.lanes * 8 >= size);
        CHECK(static_cast<std::int64_t>(plan.grid) * plan.block / plan.lanes >= 4096);
    }
    CHECK(plan_of(1 << 20, 16).lanes == 2);
    CHECK(plan_of(1 << 20, 64).lanes == 8);
    CHECK(plan_of(1 << 20, 64, 4).lanes == 16);
    CHECK(plan_of(1 << 20, 256).lanes == 32);
    const FakeQuantizeShape two{.groups = 1 << 20, .group_size = 512, .chunks_a_lane = 2};
    CHECK(plan_fake_quantize(two, kHopper).kernel == FakeQuantizeKernel::groups);
    CHECK(plan_fake_quantize(two, kHopper).lanes == 32);
}

TEST_CASE("groups of a block's size get a block each", "[runtime]") {
    const FakeQuantizePlan plan = plan_of(16384, 4096);
    CHECK(plan.kernel == FakeQuantizeKernel::block);
    CHECK(plan.grid == 16384);
    CHECK(plan.block == 256);
    CHECK(plan_of(16384, 512).block == 64);
    CHECK(plan_of(16384, 1024).block == 128);
    CHECK(plan_of(8, 32768).kernel == FakeQuantizeKernel::block);
    CHECK(plan_of(8, 32768).block == 1024);
}

TEST_CASE("a block keeps in shared memory what its threads read twice, where two blocks can",
          "[runtime]") {
    CHECK(plan_of(16384, 1024).shared_bytes == 0);  // one chunk a thread, in registers
    CHECK(plan_of(16384, 4096).shared_bytes == 256 * 16);
    CHECK(plan_of(1024, 65536).shared_bytes == (8192 - 1024) * 16);
    CHECK(plan_of(1024, 131072).shared_bytes == 0);  // too large for two
    CHECK(plan_of(16384, 4096, 2, false).shared_bytes == 0);
    CHECK(most_shared_bytes(kHopper) <= 233472 / 2);
    CHECK(most_shared_bytes({}) == 0);
    const PlanFacts small{.multiprocessors = 40,
                          .max_threads_per_block = 1024,
                          .shared_bytes_per_block = 65536,
                          .shared_bytes_per_multiprocessor = 65536};
    CHECK(plan_fake_quantize({1024, 65536, 2, true}, small).shared_bytes == 0);
    CHECK(plan_fake_quantize({1024, 16384, 2, true}, small).shared_bytes == 24576);
}

TEST_CASE("tensors that are not aligned have a kernel of their own", "[runtime]") {
    for (const std::int64_t size : {1, 64, 1024, 4096, 32768}) {
        CAPTURE(size);
        const FakeQuantizePlan plan = plan_of(4096, size, 2, false);
        const FakeQuantizePlan aligned = plan_of(4096, size);
        CHECK(plan.kernel == FakeQuantizeKernel::any);
        CHECK(plan.lanes == aligned.lanes);
        CHECK(plan.grid == aligned.grid);
    }
    CHECK(plan_of(1, 64 << 20, 2, false).kernel == FakeQuantizeKernel::split);
}

TEST_CASE("the ops with codes are planned in eights of elements", "[runtime]") {
    using opforge::runtime::plan_dequantize;
    using opforge::runtime::plan_quantize;
    const auto small = plan_quantize(4096, 64, kHopper);
    CHECK_FALSE(small.split);
    CHECK(small.lanes == 4);
    CHECK(plan_quantize(4096, 64, kHopper, 1).lanes == 8);
    CHECK(small.block == 256);
    const auto block = plan_quantize(16384, 4096, kHopper);
    CHECK(block.lanes == block.block);
    const auto whole = plan_quantize(1, 64 << 20, kHopper);
    CHECK(whole.split);
    CHECK(whole.slices * whole.slice_size >= 64 << 20);
    CHECK(whole.workspace_bytes == static_cast<std::uint64_t>(whole.slices) * 8);
    CHECK(plan_quantize(5, 0, kHopper).grid >= 1);  // records of empty groups are written

    const auto rows = plan_dequantize(4096, 64);
    CHECK(rows.lanes == 4);
    CHECK(rows.slices == 1);
    const auto long_group = plan_dequantize(2, 100000);
    CHECK(long_group.lanes == 256);
    CHECK(long_group.slice_size % 8 == 0);
    CHECK(long_group.slices * long_group.slice_size >= 100000);
    CHECK((long_group.slices - 1) * long_group.slice_size < 100000);
    CHECK(plan_dequantize(4, 0).grid == 0);
}

TEST_CASE("a group that is the whole tensor is spread over the chip", "[runtime]") {
    const FakeQuantizePlan plan = plan_of(1, 64 << 20);
    CHECK(plan.kernel == FakeQuantizeKernel::split);
    CHECK(plan.slices == 4 * 132);
    CHECK(plan.grid == plan.slices);
}

TEST_CASE("a plan of nothing launches nothing", "[runtime]") {
    CHECK(plan_of(0, 0) == FakeQuantizePlan{});
}
