// The cases that the property tests run: each is a pure function of one seed, so that a failure's
// text is enough to repeat it. The host's and the GPU's tests draw from the same sweep.
#pragma once

#include "support/oracle.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace opforge::test {

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers with every standard library.
class SplitMix {
public:
    explicit SplitMix(std::uint64_t seed) noexcept : state_(seed) {}
    std::uint64_t next() noexcept;
    /// [low, high], both included.
    std::int64_t between(std::int64_t low, std::int64_t high) noexcept;
    /// [0, 1)
    float unit() noexcept;
    /// Mean 0, variance 1, within [-6, 6].
    float normal() noexcept;
    bool chance(int percent) noexcept { return between(0, 99) < percent; }

private:
    std::uint64_t state_;
};

/// The seed of a sweep's first case, whose others follow by one: `usual`, or what the environment
/// says in SWEEP_SEED, a decimal number. Prints it with the count, so that a run can be repeated,
/// and another one asked for.
[[nodiscard]] std::uint64_t first_seed(std::uint64_t usual, std::uint64_t cases);

enum class Pattern : std::uint8_t {
    normal,
    uniform,
    scaled,  // normal times a power of two
    heavy,   // a few values far above the rest
    subnormal,
    huge,  // near the format's largest: some ranges overflow
    one_huge,
    constant,
    zeros,  // of both signs
    ties,   // codes that lie exactly between two integers
    far,    // all above 10000 or all below -10000
    ramp,
    random_bits,  // any bits at all
    nan,          // in one place
    infinity,     // in one place
};
inline constexpr int kPatterns = 15;

struct SweepCase {
    std::uint64_t seed = 0;
    oracle::Element element = oracle::Element::fp16;
    oracle::Settings settings;
    std::int64_t group_size = 1;
    Pattern pattern = Pattern::normal;
    std::size_t input_skew = 0;  // elements past an address aligned to 64 bytes
    std::size_t output_skew = 0;
    bool into_output = false;
    int threads = 1;

    [[nodiscard]] std::size_t elements() const noexcept {
        return static_cast<std::size_t>(settings.groups * group_size);
    }
    [[nodiscard]] std::size_t size_bytes() const noexcept {
        return elements() * oracle::element_bytes(element);
    }
    [[nodiscard]] runtime::RandomState random() const noexcept {
        return {settings.seed, settings.offset};
    }
};

/// From 1 to `max_elements`: small ones, odd ones, and those around powers of two.
[[nodiscard]] std::int64_t random_group_size(SplitMix& random, std::int64_t max_elements);
/// Offsets at which some word of the counter overflows among them, and many that are multiples of
/// four.
[[nodiscard]] std::uint64_t random_offset(SplitMix& random);
/// Whether a tensor's random numbers begin with a whole counter, and all counters have one upper
/// word: what kernels for aligned tensors draw.
[[nodiscard]] bool draws_whole_counters(const runtime::RandomState& state, std::int64_t elements);
[[nodiscard]] std::string_view name(Pattern pattern);

/// A random case of at most `max_elements` elements.
[[nodiscard]] SweepCase random_case(std::uint64_t seed, std::int64_t max_elements);
/// The input of a case, by its seed and pattern.
[[nodiscard]] Bytes make_input(const SweepCase& of);
/// All that is needed to repeat the case.
[[nodiscard]] std::string describe(const SweepCase& of);

[[nodiscard]] runtime::Dtype dtype_of(oracle::Element element) noexcept;
[[nodiscard]] runtime::TensorView view_of(const SweepCase& of, void* data, runtime::Device device);

/// Empty where `actual` equals `expected` bit for bit (any NaN equals any NaN); else the case and
/// the first difference.
[[nodiscard]] std::string mismatch(const SweepCase& of, std::span<const std::byte> expected,
                                   std::span<const std::byte> actual);

/// Bytes with a border of known bytes on both sides, the tensor `skew` elements off an aligned
/// address.
class GuardedTensor {
public:
    GuardedTensor(std::span<const std::byte> tensor, std::size_t skew_bytes);
    [[nodiscard]] std::byte* data() noexcept;
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
    [[nodiscard]] bool border_is_intact() const noexcept;

private:
    Bytes storage_;
    std::size_t begin_ = 0;
    std::size_t size_ = 0;
};

}  // namespace opforge::test
