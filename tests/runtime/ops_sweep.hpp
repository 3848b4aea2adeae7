// The cases of the ops with codes that the property tests run, each a pure function of one seed, as
// sweep.hpp's are of fake quantization.
#pragma once

#include "ops_call.hpp"
#include "sweep.hpp"

#include <opforge/base/bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace opforge::test {

/// Steps and offsets to decode with.
enum class Records : std::uint8_t {
    usual,
    powers_of_two,  // sums of codes are exact: ties
    large,          // sums overflow fp16
    tiny,
    one_bad,  // a NaN, an infinity or a zero in one place
    random_bits,
};
inline constexpr int kRecordKinds = 6;

struct OpsCase {
    std::uint64_t seed = 0;
    Op op = Op::quantize;
    oracle::Element element = oracle::Element::fp16;  // of values, sums or results
    int bits = 8;
    bool asymmetric = false;
    std::int64_t groups = 1;  // reductions: of all devices together
    std::int64_t group_size = 1;
    std::int64_t out_groups = 1;  // reductions
    std::int64_t pipeline = 1;
    std::int64_t nodes = 1;
    std::int64_t devices = 1;
    float beta = 0;
    bool stochastic = false;
    runtime::RandomState random;
    Pattern pattern = Pattern::normal;  // of values
    bool near_top = false;  // values of one sign near the format's largest: hi + lo overflows
    Records records = Records::usual;
    int shape = 0;               // 0: by groups; 1: one dimension; 2: [1, all]
    ByRole<std::size_t> skew{};  // elements past an aligned address
    int threads = 1;

    [[nodiscard]] bool reduces() const noexcept {
        return op == Op::quantized_reduction || op == Op::loco_quantized_reduction;
    }
    [[nodiscard]] bool swizzles() const noexcept {
        return op == Op::swizzle_quant || op == Op::loco_swizzle_quant;
    }
    [[nodiscard]] bool decodes() const noexcept {
        return op == Op::dequantize || op == Op::dequantize_int4 || op == Op::dequantize_int8;
    }
    [[nodiscard]] bool has_error() const noexcept {
        return op == Op::loco_swizzle_quant || op == Op::loco_quantized_reduction;
    }
    /// Of the input.
    [[nodiscard]] std::int64_t elements() const noexcept { return groups * group_size; }
    [[nodiscard]] std::int64_t out_elements() const noexcept {
        return reduces() ? elements() / devices : elements();
    }
};

/// A random case of an input of at most `max_elements` elements, or of as many as one group a
/// partition or device takes.
[[nodiscard]] OpsCase random_ops_case(std::uint64_t seed, std::int64_t max_elements);
/// A case of one op whose dtype, width, type and rounding follow from `number`: 36 numbers in a row
/// bring every combination. Four groups (a reduction: of two devices) of `group_size` elements,
/// rounded up to whole bytes.
[[nodiscard]] OpsCase ops_case(Op op, std::uint64_t number, std::int64_t group_size);
/// Groups that fill whole bytes are multiples of so many elements.
[[nodiscard]] std::int64_t whole_bytes(int bits) noexcept;
/// Random groups of the sum, of whole bytes, that divide the elements of one device.
[[nodiscard]] std::int64_t random_out_groups(SplitMix& random, std::int64_t elements, int bits);
/// All that is needed to repeat the case.
[[nodiscard]] std::string describe(const OpsCase& of);

struct OpsTensor {
    runtime::Dtype dtype = runtime::Dtype::float32;
    runtime::Shape shape;
    Bytes bytes;
    bool written = false;
};
using OpsTensors = ByRole<std::optional<OpsTensor>>;

/// The tensors of a case before the call; outputs hold bytes that no result would.
[[nodiscard]] OpsTensors make_tensors(const OpsCase& of);
/// The tensors of a case after the call, by the oracle.
[[nodiscard]] OpsTensors expected_tensors(const OpsCase& of, const OpsTensors& before);
[[nodiscard]] OpsCall make_call(const OpsCase& of, const OpsTensors& tensors,
                                const ByRole<void*>& memory, runtime::Device device);

/// As of sweep.hpp.
[[nodiscard]] std::string mismatch(const OpsCase& of, Role role, runtime::Dtype dtype,
                                   std::span<const std::byte> expected,
                                   std::span<const std::byte> actual);

/// The tensors of a case in host memory, each off an aligned address by its skew and with a border
/// of known bytes.
class GuardedTensors {
public:
    GuardedTensors(const OpsCase& of, const OpsTensors& before);
    [[nodiscard]] const ByRole<void*>& memory() const noexcept { return memory_; }
    /// Empty where every tensor is as expected, what is only read to the last bit of its NaNs, and
    /// every border is intact; else the case and the first difference.
    [[nodiscard]] std::string mismatch(const OpsTensors& expected) const;

private:
    OpsCase of_;
    ByRole<std::optional<GuardedTensor>> tensors_;
    ByRole<void*> memory_{};
};

}  // namespace opforge::test
