#include <opforge/base/error.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace opforge::runtime {

std::string_view to_string(Dtype dtype) noexcept {
    switch (dtype) {
    case Dtype::float16:
        return "float16";
    case Dtype::bfloat16:
        return "bfloat16";
    case Dtype::float32:
        return "float32";
    case Dtype::float64:
        return "float64";
    case Dtype::int8:
        return "int8";
    case Dtype::uint8:
        return "uint8";
    case Dtype::int16:
        return "int16";
    case Dtype::int32:
        return "int32";
    case Dtype::int64:
        return "int64";
    case Dtype::boolean:
        return "bool";
    }
    return "unknown";
}

Shape::Shape(std::initializer_list<std::int64_t> dimensions)
    : Shape(std::span<const std::int64_t>(dimensions.begin(), dimensions.size())) {}

Shape::Shape(std::span<const std::int64_t> dimensions) : rank_(dimensions.size()) {
    if (dimensions.size() > kMaxRank) {
        throw InvalidArgument(fmt::format(
            "shape: {} dimensions, at most {} are supported; merge some, the tensor is contiguous",
            dimensions.size(), kMaxRank));
    }
    std::copy(dimensions.begin(), dimensions.end(), dimensions_.begin());
    for (const std::int64_t dimension : dimensions) {
        if (dimension < 0) {
            throw InvalidArgument(fmt::format("shape: dimension {} is negative", dimension));
        }
    }
    // A zero anywhere makes the product 0, whatever the others would overflow to.
    if (std::find(dimensions.begin(), dimensions.end(), 0) != dimensions.end()) {
        elements_ = 0;
        return;
    }
    for (const std::int64_t dimension : dimensions) {
        if (elements_ > std::numeric_limits<std::int64_t>::max() / dimension) {
            throw InvalidArgument("shape: the element count is past 2^63 - 1");
        }
        elements_ *= dimension;
    }
}

}  // namespace opforge::runtime
