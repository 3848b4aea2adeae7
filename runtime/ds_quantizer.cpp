#include "fake_quantize_device.hpp"
#include "fake_quantize_task.hpp"
#include "host/fake_quantize_host.hpp"
#include "op_operands.hpp"
#include "repeated_calls.hpp"

#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/errors.hpp>

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <optional>

namespace opforge::runtime {
namespace {

bool is_supported(Dtype dtype) {
    return dtype == Dtype::float16 || dtype == Dtype::bfloat16 || dtype == Dtype::float32;
}

std::string name_of(Device device) {
    return device.kind == Device::Kind::cpu ? "cpu" : fmt::format("cuda:{}", device.ordinal);
}

void check_memory(const TensorView& tensor, const char* what) {
    if (tensor.data == nullptr) {
        throw InvalidArgument(
            fmt::format("ds_quantizer: {} has {} elements and a null pointer; pass the address of "
                        "its first element",
                        what, tensor.elements()));
    }
    const std::size_t element = size_bytes(tensor.dtype);
    const auto address = std::bit_cast<std::uintptr_t>(tensor.data);
    // Multiplied and not divided: a division is the dearest thing that a call does before its
    // launch.
    std::uintptr_t end = 0;
    if (__builtin_mul_overflow(static_cast<std::uintptr_t>(tensor.elements()), element, &end) ||
        __builtin_add_overflow(address, end, &end)) {
        throw InvalidArgument(fmt::format(
            "ds_quantizer: {} at {} with {} elements of {} reaches past the end of the address "
            "space; check its shape",
            what, fmt::ptr(tensor.data), tensor.elements(), to_string(tensor.dtype)));
    }
    if ((address & (element - 1)) != 0) {  // sizes are powers of two
        throw InvalidArgument(fmt::format(
            "ds_quantizer: {} is at {}, which is not a multiple of {}, the size of a {}; "
            "align it to its element",
            what, fmt::ptr(tensor.data), element, to_string(tensor.dtype)));
    }
}

void check_output(const TensorView& input, const TensorView& output) {
    if (output.dtype != input.dtype || output.elements() != input.elements() ||
        output.device != input.device) {
        throw InvalidArgument(fmt::format("ds_quantizer: the output is {} x {} on {}, the input {} "
                                          "x {} on {}; dtype, element count and device must "
                                          "be the same",
                                          output.elements(), to_string(output.dtype),
                                          name_of(output.device), input.elements(),
                                          to_string(input.dtype), name_of(input.device)));
    }
}

void check_writable(const TensorView& input, const std::optional<TensorView>& output) {
    const bool in_place = !output || output->data == input.data;
    if ((output && output->read_only) || (in_place && input.read_only)) {
        throw InvalidArgument(fmt::format("ds_quantizer: {} is read-only; pass memory for the "
                                          "result in CallOptions::output",
                                          in_place ? "the tensor" : "the output"));
    }
}

void check_overlap(const TensorView& input, const TensorView& output) {
    const auto from = std::bit_cast<std::uintptr_t>(input.data);
    const auto to = std::bit_cast<std::uintptr_t>(output.data);
    const std::size_t size = input.size_in_bytes();
    if (from != to && from < to + size && to < from + size) {
        throw InvalidArgument("ds_quantizer: input and output overlap without being the same "
                              "memory; quantize in place, "
                              "or into memory of its own");
    }
}

/// @return how many elements a group has
std::int64_t check(const TensorView& input, std::int64_t groups, int bits,
                   const CallOptions& options) {
    if (!is_supported(input.dtype)) {
        throw UnsupportedDtype(fmt::format(
            "ds_quantizer: the tensor is {}; float16, bfloat16 and float32 are supported: "
            "convert it first",
            to_string(input.dtype)));
    }
    if (bits < kMinBits || bits > kMaxBits) {
        throw InvalidArgument(
            fmt::format("ds_quantizer: bit_num is {}; choose {} to {}", bits, kMinBits, kMaxBits));
    }
    if (groups < 1) {
        throw InvalidArgument(fmt::format("ds_quantizer: groups is {}; choose 1 or more", groups));
    }
    const std::int64_t group_size = input.elements() / groups;
    if (group_size * groups != input.elements()) {
        throw InvalidArgument(fmt::format(
            "ds_quantizer: {} groups do not divide {} elements (remainder {}); choose a "
            "divisor, or pad the tensor",
            groups, input.elements(), input.elements() % groups));
    }
    const bool on_host = input.device.kind == Device::Kind::cpu;
    if (on_host && options.stream != nullptr) {
        throw InvalidArgument("ds_quantizer: a stream was passed with a host tensor, which no "
                              "stream orders; leave it "
                              "out, or pass the tensor's device address and device");
    }
    if (options.device_random != 0 && on_host) {
        throw InvalidArgument(
            "ds_quantizer: device_random was passed with a host tensor; pass `random`");
    }
    check_device_random("ds_quantizer", options.device_random);
    if (options.threads < 0) {
        throw InvalidArgument(fmt::format(
            "ds_quantizer: threads is {}; choose 1 or more, or 0 for all cores", options.threads));
    }
    if (options.output) {
        check_output(input, *options.output);
    }
    if (input.elements() != 0) {
        check_writable(input, options.output);
        check_memory(input, "the input");
        if (options.output) {
            check_memory(*options.output, "the output");
            check_overlap(input, *options.output);
        }
    }
    return group_size;
}

/// The flags that a name of the extension stands for, and the one dtype it takes.
TensorView quantize_as(const char* name, Dtype dtype, const TensorView& vals, std::int64_t groups,
                       int bits, bool sr, bool asym, const CallOptions& options) {
    if (vals.dtype != dtype) {
        throw UnsupportedDtype(fmt::format(
            "{}: the tensor is {}, this function takes {}; ds_quantizer chooses by dtype", name,
            to_string(vals.dtype), to_string(dtype)));
    }
    return ds_quantizer(vals, groups, bits, sr, asym, options);
}

}  // namespace

TensorView ds_quantizer(const TensorView& input, std::int64_t groups, int bit_num, bool sr,
                        bool asym, const CallOptions& options) {
    const TensorView& output = options.output ? *options.output : input;
    std::optional<RandomState> random = options.random;
    if (input.device.kind == Device::Kind::cuda &&
        repeat_call(input, output, groups, bit_num, sr, asym, options, random)) {
        return output;
    }
    const std::int64_t group_size = check(input, groups, bit_num, options);
    const std::int64_t elements = input.elements();
    if (elements == 0) {
        return output;
    }
    FakeQuantizeTask task{.input = input.data,
                          .output = output.data,
                          .dtype = input.dtype,
                          .groups = groups,
                          .group_size = group_size,
                          .bits = bit_num,
                          .stochastic = sr,
                          .asymmetric = asym,
                          .random = {}};
    if (sr && options.device_random == 0) {
        task.random = random ? *random : next_random_state(static_cast<std::uint64_t>(elements));
    }
    if (input.device.kind == Device::Kind::cpu) {
        host::fake_quantize(task, options.threads);
    } else {
        fake_quantize_on_device(task, input.device.ordinal, options.stream, options.device_random);
    }
    return output;
}

TensorView ds_quantize_fp16(const TensorView& vals, std::int64_t groups, int bits,
                            const CallOptions& options) {
    return quantize_as("ds_quantize_fp16", Dtype::float16, vals, groups, bits, false, false,
                       options);
}
TensorView ds_quantize_fp32(const TensorView& vals, std::int64_t groups, int bits,
                            const CallOptions& options) {
    return quantize_as("ds_quantize_fp32", Dtype::float32, vals, groups, bits, false, false,
                       options);
}
TensorView ds_sr_quantize_fp16(const TensorView& vals, std::int64_t groups, int bits,
                               const CallOptions& options) {
    return quantize_as("ds_sr_quantize_fp16", Dtype::float16, vals, groups, bits, true, false,
                       options);
}
TensorView ds_sr_quantize_fp32(const TensorView& vals, std::int64_t groups, int bits,
                               const CallOptions& options) {
    return quantize_as("ds_sr_quantize_fp32", Dtype::float32, vals, groups, bits, true, false,
                       options);
}
TensorView ds_quantize_asym_fp16(const TensorView& vals, std::int64_t groups, int bits,
                                 const CallOptions& options) {
    return quantize_as("ds_quantize_asym_fp16", Dtype::float16, vals, groups, bits, false, true,
                       options);
}
TensorView ds_quantize_asym_fp32(const TensorView& vals, std::int64_t groups, int bits,
                                 const CallOptions& options) {
    return quantize_as("ds_quantize_asym_fp32", Dtype::float32, vals, groups, bits, false, true,
                       options);
}
TensorView ds_sr_quantize_asym_fp16(const TensorView& vals, std::int64_t groups, int bits,
                                    const CallOptions& options) {
    return quantize_as("ds_sr_quantize_asym_fp16", Dtype::float16, vals, groups, bits, true, true,
                       options);
}
TensorView ds_sr_quantize_asym_fp32(const TensorView& vals, std::int64_t groups, int bits,
                                    const CallOptions& options) {
    return quantize_as("ds_sr_quantize_asym_fp32", Dtype::float32, vals, groups, bits, true, true,
                       options);
}

}  // namespace opforge::runtime
