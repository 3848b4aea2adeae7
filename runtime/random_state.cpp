#include <opforge/runtime/random_state.hpp>

#include <atomic>

namespace opforge::runtime {
namespace {

// Seed and offset are two words: a call that races with manual_seed() may pair the new seed with an
// old offset, which is as good a stream as any. Calls that race with one another never share
// numbers: the offset is one atomic addition.
std::atomic<std::uint64_t>& process_seed() noexcept {
    static std::atomic<std::uint64_t> seed{0};
    return seed;
}
std::atomic<std::uint64_t>& process_offset() noexcept {
    static std::atomic<std::uint64_t> offset{0};
    return offset;
}

}  // namespace

void manual_seed(std::uint64_t seed) noexcept {
    process_seed().store(seed, std::memory_order_relaxed);
    process_offset().store(0, std::memory_order_relaxed);
}

RandomState next_random_state(std::uint64_t elements) noexcept {
    const std::uint64_t taken = (elements + 3) / 4 * 4;
    return {.seed = process_seed().load(std::memory_order_relaxed),
            .offset = process_offset().fetch_add(taken, std::memory_order_relaxed)};
}

}  // namespace opforge::runtime
