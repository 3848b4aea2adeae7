// What each op of the quantizer takes, gives, computes and refuses, as data: docs/quantizer_ops.md
// and `opforge report` are made from it, and tests hold it against what the ops do. Constants; no
// work at start-up. Any thread.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace opforge::runtime {

/// A set of small numbers: dtypes, widths, refusals.
template <class T>
class SmallSet {
public:
    static constexpr int kLimit = 32;  // members are below it
    constexpr SmallSet() = default;
    constexpr SmallSet(std::initializer_list<T> members) {
        for (const T member : members) {
            mask_ |= bit(member);
        }
    }
    [[nodiscard]] constexpr bool contains(T member) const noexcept {
        const auto number = static_cast<std::int64_t>(member);
        return number >= 0 && number < kLimit && (mask_ & bit(member)) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return mask_ == 0; }
    [[nodiscard]] constexpr SmallSet operator|(SmallSet other) const noexcept {
        other.mask_ |= mask_;
        return other;
    }

private:
    [[nodiscard]] static constexpr std::uint32_t bit(T member) noexcept {
        return std::uint32_t{1} << static_cast<std::uint32_t>(member);
    }
    std::uint32_t mask_ = 0;
};

enum class Access : std::uint8_t {
    read,
    changed,   // in place
    written,   // OpOptions::output, OpOptions::params, or what the allocator gave
    optional,  // CallOptions::output; in place without it
};

struct OpTensor {
    std::string_view name;  // the argument's, or the option's
    Access access = Access::read;
    SmallSet<Dtype> dtypes;
    std::string_view follows = {};  // the tensor or argument that has the same dtype
    std::string_view shape;
    std::string_view layout = {};
};

/// What an op may refuse with InvalidArgument, or a type derived from it, before anything is
/// launched or written.
enum class Refusal : std::uint8_t {
    dtype,
    count,
    device,
    memory,
    overlap,
    options,
    bits,
    type,
    groups,
    whole_bytes,
    sizes,
    partitions,
    devices,
    range,
};
inline constexpr int kRefusals = 14;
[[nodiscard]] OPFORGE_API std::string_view name(Refusal refusal) noexcept;
/// When, in words.
[[nodiscard]] OPFORGE_API std::string_view meaning(Refusal refusal) noexcept;

/// Whether the program of QuantizerBuilder is the function in one of its ways of launching.
[[nodiscard]] OPFORGE_API bool is_program_of(std::string_view function,
                                             std::string_view program) noexcept;

struct OPFORGE_API OpInfo {
    std::string_view name;
    int binding = 0;  // its place among DeepSpeed's eighteen; 0: opforge's own
    std::string_view arguments;
    std::string_view header;              // <opforge/runtime/...>
    std::span<const OpTensor> tensors;    // none: an enumeration
    SmallSet<Dtype> dtype_argument = {};  // empty: there is no argument `dtype`
    SmallSet<int> bits = {};
    std::string_view formula;
    SmallSet<Refusal> refusals = {};
    std::span<const std::string_view> functions = {};  // what its programs' names begin with

    [[nodiscard]] constexpr bool is_enumeration() const noexcept { return tensors.empty(); }
    /// Whether some call of the op runs the program.
    [[nodiscard]] bool runs_program(std::string_view program) const noexcept;
};

/// The eighteen bindings in DeepSpeed's order, then opforge's own.
[[nodiscard]] OPFORGE_API std::span<const OpInfo> op_table() noexcept;

}  // namespace opforge::runtime
