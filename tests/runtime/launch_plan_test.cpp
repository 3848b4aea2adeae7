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
                            .shared_bytes_per_multiprocessor = 233472,
                            .max_threads_per_multiprocessor = 2048,
                            .cooperative_launch = true,
                            .cluster_launch = true};
// Without clusters and cooperative launches.
constexpr PlanFacts kPlain{.multiprocessors = 132,
                           .max_threads_per_block = 1024,
                           .shared_bytes_per_block = 101376,
                           .shared_bytes_per_multiprocessor = 102400};

FakeQuantizePlan plan_of(std::int64_t groups, std::int64_t group_size, int element_bytes = 2,
                         bool aligned = true) {
    return plan_fake_quantize({groups, group_size, element_bytes, aligned}, kHopper);
}
FakeQuantizePlan stochastic_plan_of(std::int64_t groups, std::int64_t group_size,
                                    int element_bytes = 2) {
    return plan_fake_quantize({groups, group_size, element_bytes, true, true}, kHopper);
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
                                  .shared_bytes_per_multiprocessor = 233472,
                                  .max_threads_per_multiprocessor =
                                      *rc::gen::element(1024, 1536, 2048),
                                  .cooperative_launch = *rc::gen::arbitrary<bool>(),
                                  .cluster_launch = *rc::gen::arbitrary<bool>()};
            const bool aligned = *rc::gen::arbitrary<bool>();
            const bool stochastic = *rc::gen::arbitrary<bool>();
            const FakeQuantizePlan plan =
                plan_fake_quantize({groups, size, bytes, aligned, stochastic}, facts);

            RC_ASSERT(plan.grid >= 1U);
            RC_ASSERT(plan.grid <= 0x7fffffffU);
            RC_ASSERT(plan.block % 32 == 0U);
            RC_ASSERT(plan.block >= 32U);
            RC_ASSERT(plan.block <= static_cast<unsigned>(facts.max_threads_per_block));
            RC_ASSERT(plan.shared_bytes <= most_shared_bytes(facts));
            RC_ASSERT(plan.shared_bytes == plan.keeps * plan.block * 16U);
            // Whether shared memory has room for all that the kernel's threads read, beside `held`
            // chunks of each in registers.
            const std::int64_t chunk = 16 / bytes;
            const auto keeps_all = [&](std::int64_t elements, int held = 0) {
                return (std::int64_t{plan.keeps} + held) * plan.lanes * chunk >= elements;
            };
            switch (plan.kernel) {
            case FakeQuantizeKernel::groups:
                RC_ASSERT(aligned);
                RC_ASSERT(std::has_single_bit(plan.lanes));
                RC_ASSERT(plan.lanes <= 32U);
                RC_ASSERT((stochastic ? keeps_all(size) : plan.keeps == 0U));
                RC_ASSERT(stochastic || plan.lanes * chunk >= size);
                break;
            case FakeQuantizeKernel::pairs:
                RC_ASSERT(aligned);
                RC_ASSERT(!stochastic);
                RC_ASSERT(std::has_single_bit(plan.lanes));
                RC_ASSERT(plan.lanes <= 32U);
                RC_ASSERT(plan.keeps == 0U);
                RC_ASSERT(plan.lanes * 2 * chunk >= size);
                break;
            case FakeQuantizeKernel::block:
                RC_ASSERT(aligned);
                RC_ASSERT(plan.lanes == plan.block);
                RC_ASSERT(!stochastic || keeps_all(size));
                break;
            case FakeQuantizeKernel::any:
                RC_ASSERT(!aligned || stochastic);
                RC_ASSERT(plan.keeps == 0U);
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
            case FakeQuantizeKernel::cluster:
            case FakeQuantizeKernel::few: {
                const bool holds_first = plan.kernel == FakeQuantizeKernel::few && !stochastic;
                RC_ASSERT(aligned);
                RC_ASSERT(facts.cluster_launch);
                RC_ASSERT(std::has_single_bit(plan.slices));
                RC_ASSERT(plan.slices <= 8U);
                RC_ASSERT(plan.grid == plan.slices * groups);
                RC_ASSERT(plan.slice_size % 64 == 0);
                RC_ASSERT(plan.slices * plan.slice_size >= size);
                RC_ASSERT(keeps_all(plan.slice_size, holds_first ? 1 : 0));
                break;
            }
            case FakeQuantizeKernel::grid: {
                RC_ASSERT(aligned);
                RC_ASSERT(plan.grid % plan.slices == 0U);
                RC_ASSERT(stochastic || plan.keeps % 4 == 0U);
                if (plan.slices == 1U) {
                    break;  // a plain launch
                }
                RC_ASSERT(facts.cooperative_launch);
                // All of them are resident: threads, and what each has of the shared memory.
                const auto resident =
                    (plan.grid + static_cast<unsigned>(facts.multiprocessors) - 1) /
                    static_cast<unsigned>(facts.multiprocessors);
                RC_ASSERT(resident * plan.block <=
                          static_cast<unsigned>(facts.max_threads_per_multiprocessor));
                RC_ASSERT(resident * (plan.shared_bytes + 2048U) <=
                              static_cast<unsigned>(facts.shared_bytes_per_multiprocessor) ||
                          plan.shared_bytes == 0U);
                RC_ASSERT(plan.slice_size % 64 == 0);
                RC_ASSERT(plan.slices * plan.slice_size >= size);
                RC_ASSERT(std::uint64_t{plan.rounds} * (plan.grid / plan.slices) >=
                          static_cast<std::uint64_t>(groups));
                RC_ASSERT(board_bytes(plan) <= most_board_bytes(facts));
                break;
            }
            }
        });
    CHECK(holds);
}

TEST_CASE("small groups share a warp", "[runtime]") {
    for (const std::int64_t size : {1, 8, 16, 64, 100, 256}) {
        CAPTURE(size);
        const FakeQuantizePlan plan = plan_of(4096, size);
        CHECK(plan.kernel == FakeQuantizeKernel::groups);
        // One chunk of eight values a lane, or none: the tensors are small.
        CHECK(plan.lanes * 8 >= size);
        CHECK(static_cast<std::int64_t>(plan.grid) * plan.block / plan.lanes >= 4096);
    }
    CHECK(plan_of(1 << 20, 16).lanes == 2);
    // Two chunks a lane where there are more for a group.
    CHECK(plan_of(1 << 20, 64).lanes == 4);
    CHECK(plan_of(1 << 20, 64).kernel == FakeQuantizeKernel::pairs);
    CHECK(plan_of(1 << 20, 64, 4).lanes == 8);
    CHECK(plan_of(1 << 20, 512).lanes == 32);
    CHECK(plan_of(1 << 20, 512).kernel == FakeQuantizeKernel::pairs);
    CHECK(plan_of(1 << 20, 16).kernel == FakeQuantizeKernel::groups);
    // Four chunks a lane where random numbers are drawn.
    CHECK(stochastic_plan_of(1 << 20, 64).lanes == 2);
    CHECK(stochastic_plan_of(1 << 20, 16).lanes == 1);
    CHECK(stochastic_plan_of(1 << 20, 512).kernel == FakeQuantizeKernel::groups);
    CHECK(stochastic_plan_of(1 << 20, 512).lanes == 16);
    CHECK(stochastic_plan_of(1 << 20, 512).shared_bytes == 4 * 256 * 16);
}

TEST_CASE("groups of a block's size get a block each", "[runtime]") {
    const FakeQuantizePlan plan = plan_of(16384, 4096);
    CHECK(plan.kernel == FakeQuantizeKernel::block);
    CHECK(plan.grid == 16384);
    CHECK(plan.block == 128);  // four chunks a thread
    CHECK(plan_of(16384, 1024).block == 32);
    CHECK(plan_of(8, 4096).kernel == FakeQuantizeKernel::block);
    CHECK(plan_of(4096, 16384).kernel == FakeQuantizeKernel::block);
    CHECK(plan_of(4096, 16384).block == 512);
    CHECK(plan_of(1024, 16384, 4).kernel == FakeQuantizeKernel::block);
    CHECK(stochastic_plan_of(16384, 4096).block == 128);
    CHECK(stochastic_plan_of(2048, 32768).kernel == FakeQuantizeKernel::block);
    CHECK(stochastic_plan_of(2048, 32768).block == 512);
    CHECK(stochastic_plan_of(2048, 32768).keeps == 8);
}

TEST_CASE("tensors that leave multiprocessors idle are shared by more threads", "[runtime]") {
    // One chunk of eight values a thread, up to what a block may have.
    CHECK(stochastic_plan_of(2048, 128).lanes == 16);
    CHECK(stochastic_plan_of(2048, 128).keeps == 1);
    CHECK(stochastic_plan_of(8192, 128).lanes == 8);
    CHECK(stochastic_plan_of(8192, 128).keeps == 2);
    CHECK(stochastic_plan_of(16, 1024).block == 128);
    CHECK(plan_of(16, 4096).block == 512);
    CHECK(plan_of(100, 16384).block == 512);
    CHECK(plan_of(100, 8192).block == 1024);
    CHECK(stochastic_plan_of(256, 4096).block == 256);
    CHECK(stochastic_plan_of(256, 4096).keeps == 2);
    // A few groups share the chip: a cluster each.
    CHECK(stochastic_plan_of(16, 16384).kernel == FakeQuantizeKernel::few);
    CHECK(stochastic_plan_of(16, 16384).slices == 8);
    CHECK(stochastic_plan_of(16, 16384).keeps == 1);
    CHECK(stochastic_plan_of(16, 16384).shared_bytes == 256 * 16);
    CHECK(stochastic_plan_of(64, 16384).slices == 2);
    CHECK(stochastic_plan_of(64, 16384).block == 256);
    CHECK(stochastic_plan_of(64, 16384).keeps == 4);
    CHECK(stochastic_plan_of(64, 16384, 4).block == 512);
    CHECK(plan_of(16, 16384).kernel == FakeQuantizeKernel::few);
    CHECK(plan_of(16, 16384).shared_bytes == 0);
    CHECK(plan_of(64, 16384).keeps == 3);
    CHECK(plan_of(8, 131072).slices == 8);
    CHECK(plan_of(8, 131072).block == 512);
    CHECK(plan_of(8, 262144).kernel == FakeQuantizeKernel::grid);
    CHECK(plan_of(67, 16384).kernel == FakeQuantizeKernel::block);
    CHECK(plan_fake_quantize({16, 16384, 2, true}, kPlain).kernel == FakeQuantizeKernel::block);
    // 1 Mi values of fp32 are twice as many chunks.
    CHECK(plan_fake_quantize({1 << 20, 32, 4, true, true}, kHopper).lanes == 4);
    CHECK(plan_fake_quantize({1 << 20, 32, 4, true, true}, kHopper).keeps == 2);
    CHECK(plan_fake_quantize({1 << 20, 16, 4, true, true}, kHopper).lanes == 2);
    CHECK(plan_fake_quantize({8192, 128, 4, true, true}, kHopper).lanes == 8);
    CHECK(plan_fake_quantize({8192, 128, 4, true, true}, kHopper).keeps == 4);
    // On a chip a tenth the size they are enough.
    PlanFacts small = kHopper;
    small.multiprocessors = 13;
    CHECK(plan_fake_quantize({8192, 128, 2, true, true}, small).lanes == 4);
}

TEST_CASE("a block keeps in shared memory what its threads read twice, where two blocks can",
          "[runtime]") {
    CHECK(plan_of(16384, 256).shared_bytes == 0);  // one chunk a thread, in registers
    CHECK(plan_of(16384, 4096).shared_bytes == 3 * 128 * 16);
    CHECK(plan_of(16384, 4096, 2, false).shared_bytes == 0);
    CHECK(stochastic_plan_of(16384, 4096).shared_bytes == 4096 * 2);
    // With stochastic rounding all of it, or another kernel.
    CHECK(stochastic_plan_of(4096, 16384).block == 512);
    CHECK(stochastic_plan_of(4096, 16384).keeps == 4);
    CHECK(most_shared_bytes({}) == 0);
    const PlanFacts small{.multiprocessors = 40,
                          .max_threads_per_block = 1024,
                          .shared_bytes_per_block = 65536,
                          .shared_bytes_per_multiprocessor = 65536};
    CHECK(plan_fake_quantize({1024, 65536, 2, true}, small).shared_bytes == 0);
    CHECK(plan_fake_quantize({1024, 8192, 2, true}, small).shared_bytes == 12288);
    CHECK(plan_fake_quantize({1024, 8192, 2, true, true}, small).shared_bytes == 16384);
    CHECK(plan_fake_quantize({1024, 32768, 2, true, true}, small).kernel ==
          FakeQuantizeKernel::any);
}

TEST_CASE("groups beyond a block's size share clusters", "[runtime]") {
    const FakeQuantizePlan plan = plan_of(512, 131072);
    CHECK(plan.kernel == FakeQuantizeKernel::cluster);
    CHECK(plan.slices == 8);
    CHECK(plan.block == 256);
    CHECK(plan.keeps == 8);
    CHECK(plan_of(1024, 65536).slices == 4);
    CHECK(plan_of(16, 65536).slices == 8);
    CHECK(plan_of(16, 65536).keeps == 3);
    CHECK(plan_of(256, 262144).slices == 8);
    CHECK(plan_of(256, 262144).block == 512);
    CHECK(plan_of(512, 131072, 4).block == 512);
    CHECK(plan_of(128, 524288).kernel == FakeQuantizeKernel::grid);
    CHECK(plan_of(1024, 32768).slices == 2);
    // As few blocks as hold the group, where random numbers are drawn.
    CHECK(stochastic_plan_of(1024, 65536).block == 1024);
    CHECK(stochastic_plan_of(1024, 65536).slices == 1);
    CHECK(stochastic_plan_of(512, 131072).kernel == FakeQuantizeKernel::cluster);
    CHECK(stochastic_plan_of(512, 131072).slices == 2);
    CHECK(stochastic_plan_of(512, 131072).keeps == 8);
    CHECK(stochastic_plan_of(256, 262144).kernel == FakeQuantizeKernel::grid);
    CHECK(stochastic_plan_of(256, 262144).slices == 3);
    CHECK(stochastic_plan_of(512, 131072, 4).slices == 8);
    CHECK(stochastic_plan_of(512, 131072, 4).block == 512);
    // Groups that are too few for the chip are shared by more.
    CHECK(stochastic_plan_of(32, 65536).slices == 4);
    CHECK(stochastic_plan_of(32, 65536).block == 512);
    CHECK(stochastic_plan_of(32, 65536).kernel == FakeQuantizeKernel::few);
    CHECK(stochastic_plan_of(32, 131072).kernel == FakeQuantizeKernel::cluster);
    CHECK(stochastic_plan_of(32, 131072).slices == 4);
    CHECK(stochastic_plan_of(32, 131072).block == 512);
    PlanFacts alone = kHopper;
    alone.cooperative_launch = false;
    CHECK(plan_fake_quantize({256, 262144, 2, true, true}, alone).kernel ==
          FakeQuantizeKernel::cluster);
    CHECK(plan_fake_quantize({256, 262144, 2, true, true}, alone).slices == 4);
    CHECK(plan_fake_quantize({512, 131072, 2, true}, kPlain).kernel == FakeQuantizeKernel::block);
    // Without clusters a team of one block, where one holds a group.
    PlanFacts ampere = kHopper;
    ampere.cluster_launch = false;
    CHECK(plan_fake_quantize({1024, 65536, 2, true}, ampere).kernel == FakeQuantizeKernel::grid);
    CHECK(plan_fake_quantize({1024, 65536, 2, true}, ampere).slices == 1);
    CHECK(plan_fake_quantize({1024, 65536, 2, true}, ampere).grid == 264);
}

TEST_CASE("groups beyond a cluster's size get a team of resident blocks", "[runtime]") {
    const FakeQuantizePlan team = plan_of(32, 2 << 20);
    CHECK(team.kernel == FakeQuantizeKernel::grid);
    CHECK(team.slices == 33);
    CHECK(team.grid == 264);  // eight teams, two blocks a multiprocessor
    CHECK(team.rounds == 4);
    const FakeQuantizePlan large = plan_of(4, 32 << 20);
    CHECK(large.slices == 132);
    CHECK(large.rounds == 4);
    // A few groups have all of the chip between them.
    CHECK(stochastic_plan_of(2, 1 << 20).slices == 66);
    CHECK(stochastic_plan_of(2, 1 << 20).keeps == 2);
    CHECK(stochastic_plan_of(1, 262144).slices == 132);
}

TEST_CASE("tensors that are not aligned have a kernel of their own", "[runtime]") {
    for (const std::int64_t size : {1, 64, 256}) {
        CAPTURE(size);
        const FakeQuantizePlan plan = plan_of(4096, size, 2, false);
        const FakeQuantizePlan aligned = plan_of(4096, size);
        CHECK(plan.kernel == FakeQuantizeKernel::any);
        CHECK(plan.block == aligned.block);
        CHECK(plan.grid == aligned.grid);
    }
    // Two chunks a thread, which loads one after the other.
    CHECK(plan_of(4096, 4096, 2, false).block == 256);
    CHECK(plan_of(4096, 32768, 2, false).block == 512);
    CHECK(plan_of(1, 64 << 20, 2, false).kernel == FakeQuantizeKernel::split);
}

TEST_CASE("the ops with codes are planned in eights of elements", "[runtime]") {
    using opforge::runtime::plan_dequantize;
    using opforge::runtime::plan_quantize;
    using opforge::runtime::QuantizeKernel;
    const auto small = plan_quantize({4096, 64}, kHopper);
    CHECK(small.kernel == QuantizeKernel::groups);
    CHECK(small.lanes == 4);  // half a cache line
    CHECK(small.block == 256);
    CHECK(small.grid == 64);
    CHECK(plan_quantize({4096, 16}, kHopper).lanes == 2);
    CHECK(plan_quantize({4096, 512}, kHopper).lanes == 16);
    CHECK(plan_quantize({4096, 512, 2}, kHopper).lanes == 32);
    const auto block = plan_quantize({16384, 4096}, kHopper);
    CHECK(block.kernel == QuantizeKernel::groups);
    CHECK(block.block == 128);
    CHECK(block.lanes == block.block);
    CHECK(block.grid == 16384);
    CHECK(plan_quantize({16384, 16384}, kHopper).block == 512);
    CHECK(plan_quantize({4096, 64, 4, false}, kHopper).kernel == QuantizeKernel::any);
    CHECK(plan_quantize({16384, 4096, 4, false}, kHopper).kernel == QuantizeKernel::any);
    const auto whole = plan_quantize({1, 64 << 20}, kHopper);
    CHECK(whole.kernel == QuantizeKernel::split);
    CHECK(whole.slices * whole.slice_size >= 64 << 20);
    CHECK(whole.workspace_bytes == static_cast<std::uint64_t>(whole.slices) * 8);
    // Groups that one block would have to read twice, from L2.
    const auto cluster = plan_quantize({512, 131072, 4, true, 16}, kHopper);
    CHECK(cluster.kernel == QuantizeKernel::cluster);
    CHECK(cluster.slices == 8);
    CHECK(cluster.slice_size == 16384);
    CHECK(cluster.block == 256);
    CHECK(cluster.grid == 4096);
    CHECK(cluster.shared_bytes == 8 * 256 * 16);
    CHECK(plan_quantize({1024, 65536, 4, true, 16}, kHopper).slices == 4);
    CHECK(plan_quantize({16, 65536, 4, true, 16}, kHopper).slices == 8);
    CHECK(plan_quantize({512, 131072, 2, true, 32}, kHopper).block == 512);
    CHECK(plan_quantize({512, 131072, 2, true, 64}, kHopper).shared_bytes == 4 * 512 * 64);
    CHECK(plan_quantize({256, 262144, 4, true, 16}, kHopper).block == 512);
    CHECK(plan_quantize({256, 262144, 2, true, 64}, kHopper).kernel != QuantizeKernel::cluster);
    CHECK(plan_quantize({512, 32768, 4, true, 16}, kHopper).slices == 2);
    CHECK(plan_quantize({512, 16384, 2, true, 32}, kHopper).kernel == QuantizeKernel::cluster);
    CHECK(plan_quantize({512, 16384, 4, true, 16}, kHopper).kernel == QuantizeKernel::groups);
    CHECK(plan_quantize({512, 131072, 4, false, 16}, kHopper).kernel == QuantizeKernel::any);
    // A lane for each octet of a few.
    const auto few_octets = plan_quantize({4097, 64, 4, true, 16, true}, kHopper);
    CHECK(few_octets.kernel == QuantizeKernel::small);
    CHECK(few_octets.lanes == 8);
    CHECK(few_octets.block == 256);
    CHECK(few_octets.grid == 33);
    CHECK(plan_quantize({4096, 32, 4, true, 16, true}, kHopper).lanes == 4);
    CHECK(plan_quantize({4096, 16, 2, true, 32, true}, kHopper).lanes == 2);
    CHECK(plan_quantize({4096, 16, 4, true, 16, true}, kHopper).kernel == QuantizeKernel::groups);
    CHECK(plan_quantize({4096, 48, 4, true, 16, true}, kHopper).kernel == QuantizeKernel::groups);
    CHECK(plan_quantize({4096, 128, 4, true, 16, true}, kHopper).kernel == QuantizeKernel::groups);
    CHECK(plan_quantize({4096, 64, 4, false, 16, true}, kHopper).kernel == QuantizeKernel::any);
    // More than a batch a thread.
    CHECK(plan_quantize({512, 16384}, kHopper).kernel == QuantizeKernel::groups);
    CHECK(plan_quantize({512, 16392}, kHopper).kernel == QuantizeKernel::batches);
    CHECK(plan_quantize({512, 131072}, kHopper).kernel == QuantizeKernel::batches);
    CHECK(plan_quantize({512, 131072, 4, true, 16}, kPlain).kernel == QuantizeKernel::batches);
    // Records of empty groups are written.
    CHECK(plan_quantize({5, 0, 4, false}, kHopper).grid >= 1);

    const auto chunks = plan_dequantize(4096, 64, 2, true);
    CHECK(chunks.chunks_a_group == 8);
    CHECK(chunks.groups == 4096);
    CHECK(chunks.grid == 32);
    CHECK(plan_dequantize(4096, 64, 4, true).chunks_a_group == 16);
    CHECK(plan_dequantize(4097, 64, 2, true).grid == 33);
    // More than a launch counts.
    const auto many = plan_dequantize(1 << 20, 1 << 20, 2, true);
    CHECK(many.groups == 16383);
    CHECK(opforge::runtime::dequantize_grid(many, 1) == 128);
    CHECK(plan_dequantize(2, std::int64_t{1} << 35, 2, true).chunks_a_group == 0);
    const auto rows = plan_dequantize(4096, 64, 2, false);
    CHECK(rows.chunks_a_group == 0);
    CHECK(rows.lanes == 4);
    CHECK(rows.slices == 1);
    const auto long_group = plan_dequantize(2, 100000, 2, false);
    CHECK(long_group.lanes == 256);
    CHECK(long_group.slice_size % 8 == 0);
    CHECK(long_group.slices * long_group.slice_size >= 100000);
    CHECK((long_group.slices - 1) * long_group.slice_size < 100000);
    CHECK(plan_dequantize(4, 0, 2, true).grid == 0);
}

TEST_CASE("a group that is the whole tensor is spread over the chip", "[runtime]") {
    const FakeQuantizePlan plan = plan_of(1, 64 << 20);
    CHECK(plan.kernel == FakeQuantizeKernel::grid);
    CHECK(plan.slices == 132);
    CHECK(plan.grid == 132);
    CHECK(plan.rounds == 1);
    CHECK(plan.shared_bytes > 233472 / 2);
    CHECK(stochastic_plan_of(1, 64 << 20).grid == 132);
    CHECK(stochastic_plan_of(1, 64 << 20).block == 1024);

    const FakeQuantizePlan split = plan_fake_quantize({1, 64 << 20, 2, true}, kPlain);
    CHECK(split.kernel == FakeQuantizeKernel::split);
    CHECK(split.slices == 4 * 132);
    CHECK(split.grid == split.slices);
    CHECK(plan_fake_quantize_split({1, 64 << 20, 2, true}, kHopper) == split);
}

TEST_CASE("a plan of nothing launches nothing", "[runtime]") {
    CHECK(plan_of(0, 0) == FakeQuantizePlan{});
}
