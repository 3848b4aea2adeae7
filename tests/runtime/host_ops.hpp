// The ops with codes on host memory, as functions of values: for tests that reason about numbers
// rather than about calls.
#pragma once

#include "sweep.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/runtime/gradient_reduction.hpp>
#include <opforge/runtime/quantize.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace opforge::test {

/// Owns what its allocator gives.
class HostMemory {
public:
    [[nodiscard]] runtime::Allocator allocator() {
        return [this](std::size_t size_bytes, runtime::Device) -> void* {
            blocks_.push_back(std::make_unique<Bytes>(size_bytes, std::byte{0xDB}));
            return blocks_.back()->data();
        };
    }

private:
    std::vector<std::unique_ptr<Bytes>> blocks_;
};

struct Coded {
    Bytes codes;
    std::vector<float> params;
    Bytes error;  // LoCo's new one
};

struct HostCoding {
    oracle::Element element = oracle::Element::fp16;
    int bits = 8;
    bool asymmetric = false;
    [[nodiscard]] runtime::QuantizationType type() const {
        return asymmetric ? runtime::QuantizationType::asymmetric
                          : runtime::QuantizationType::symmetric;
    }
};

namespace detail {

inline runtime::TensorView view(const void* data, runtime::Dtype dtype, std::size_t elements) {
    return {const_cast<void*>(data), dtype, runtime::Shape{static_cast<std::int64_t>(elements)},
            runtime::Device::cpu()};
}
inline runtime::TensorView view(const Bytes& values, oracle::Element element) {
    return view(values.data(), dtype_of(element), values.size() / oracle::element_bytes(element));
}
inline runtime::TensorView view(const Bytes& codes) {
    return view(codes.data(), runtime::Dtype::int8, codes.size());
}
inline runtime::TensorView view(const std::vector<float>& params) {
    return view(params.data(), runtime::Dtype::float32, params.size());
}

inline Bytes bytes(const runtime::TensorView& tensor) {
    const auto* begin = static_cast<const std::byte*>(tensor.data);
    return {begin, begin + tensor.size_in_bytes()};
}

inline Coded coded(const runtime::QuantizedTensor& result, Bytes error = {}) {
    return {bytes(result.codes), oracle::decode(oracle::Element::fp32, bytes(result.params)),
            std::move(error)};
}

}  // namespace detail

[[nodiscard]] inline Coded quantize_on_host(HostCoding coding, const Bytes& values,
                                            std::int64_t groups,
                                            std::optional<runtime::RandomState> random = {}) {
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    options.stochastic = random.has_value();
    options.random = random;
    return detail::coded(runtime::quantize(detail::view(values, coding.element), groups,
                                           coding.bits, coding.type(), options));
}

/// To `coding.element`.
[[nodiscard]] inline Bytes dequantize_on_host(HostCoding coding, const Coded& from,
                                              std::int64_t groups) {
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    return detail::bytes(runtime::dequantize(detail::view(from.codes), detail::view(from.params),
                                             groups, coding.bits, coding.type(), options,
                                             dtype_of(coding.element)));
}

struct HostPartition {
    std::int64_t pipeline = 1;
    std::int64_t nodes = 1;
    std::int64_t devices = 1;
};

/// With `error`, loco_swizzle_quant.
[[nodiscard]] inline Coded swizzle_on_host(HostCoding coding, const Bytes& values,
                                           std::int64_t groups, HostPartition by,
                                           std::optional<Bytes> error = {}, float beta = 0) {
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    const auto input = detail::view(values, coding.element);
    if (!error.has_value()) {
        return detail::coded(runtime::swizzle_quant(input, groups, coding.bits, coding.type(),
                                                    by.pipeline, by.nodes, by.devices, options));
    }
    // The error is read after the call.
    const auto result = runtime::loco_swizzle_quant(input, detail::view(*error, coding.element),
                                                    beta, groups, coding.bits, coding.type(),
                                                    by.pipeline, by.nodes, by.devices, options);
    return detail::coded(result, *error);
}

struct HostReduction {
    std::int64_t in_groups = 1;
    std::int64_t out_groups = 1;
    std::int64_t devices = 1;
};

/// With `error`, loco_quantized_reduction.
[[nodiscard]] inline Coded reduce_on_host(HostCoding coding, const Coded& from, HostReduction by,
                                          std::optional<Bytes> error = {}, float beta = 0) {
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    const auto codes = detail::view(from.codes);
    const auto params = detail::view(from.params);
    if (!error.has_value()) {
        return detail::coded(runtime::quantized_reduction(
            codes, params, by.in_groups, by.out_groups, coding.bits, coding.type(), by.devices,
            options, dtype_of(coding.element)));
    }
    const auto result = runtime::loco_quantized_reduction(
        codes, params, detail::view(*error, coding.element), beta, by.in_groups, by.out_groups,
        coding.bits, coding.type(), by.devices, options);
    return detail::coded(result, *error);
}

}  // namespace opforge::test
