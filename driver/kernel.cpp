#include <opforge/base/error.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/kernel.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace opforge::driver {
namespace {

// What the driver answers: no such parameter; no context is current (it would say with one); it
// cannot say at all.
constexpr int kInvalidValue = 1;      // CUDA_ERROR_INVALID_VALUE
constexpr int kInvalidContext = 201;  // CUDA_ERROR_INVALID_CONTEXT
constexpr int kNotSupported = 801;    // CUDA_ERROR_NOT_SUPPORTED

std::string refusal(const std::string& label, const std::string& what) {
    return fmt::format("kernel {}: {}; write the signature as the device code declares it", label,
                       what);
}

}  // namespace

void check_parameters(const DriverApi& api, KernelHandle kernel,
                      std::span<const ParameterLayout> parameters, const std::string& label) {
    std::size_t expected_offset = 0;
    for (std::size_t index = 0; index <= parameters.size(); ++index) {
        std::size_t offset = 0;
        std::size_t size = 0;
        const int result = api.kernel_parameter(kernel, index, &offset, &size);
        if (result == kNotSupported || result == kInvalidContext) {
            return;
        }
        if (index == parameters.size()) {
            if (result == 0) {
                throw InvalidArgument(refusal(
                    label, fmt::format("the signature has {} parameters, the kernel takes more",
                                       parameters.size())));
            }
            if (result != kInvalidValue) {
                check(api, result, "cuKernelGetParamInfo", label);
            }
            return;
        }
        if (result == kInvalidValue) {
            throw InvalidArgument(
                refusal(label, fmt::format("the signature has {} parameters, the kernel takes {}",
                                           parameters.size(), index)));
        }
        check(api, result, "cuKernelGetParamInfo", label);
        const ParameterLayout& parameter = parameters[index];
        const std::size_t alignment = std::max<std::size_t>(parameter.alignment_bytes, 1);
        expected_offset = (expected_offset + alignment - 1) / alignment * alignment;
        if (size != parameter.size_bytes || offset != expected_offset) {
            throw InvalidArgument(refusal(
                label,
                fmt::format("parameter {} of the signature has {} bytes at offset {}, the "
                            "kernel takes {} bytes at offset {}",
                            index + 1, parameter.size_bytes, expected_offset, size, offset)));
        }
        expected_offset += parameter.size_bytes;
    }
}

LaunchConfig over(std::uint64_t elements, std::uint32_t threads) {
    if (threads == 0) {
        throw InvalidArgument("launch: a block of no threads; choose 1 to 1024");
    }
    const std::uint64_t blocks = elements / threads + (elements % threads != 0 ? 1 : 0);
    if (blocks > std::numeric_limits<std::int32_t>::max()) {
        throw InvalidArgument(fmt::format(
            "launch: {} elements in blocks of {} are {} blocks, more than a grid's 2147483647; let "
            "a thread take several elements",
            elements, threads, blocks));
    }
    LaunchConfig config;
    config.grid_x = std::max<std::uint32_t>(static_cast<std::uint32_t>(blocks), 1);
    config.block_x = threads;
    return config;
}

}  // namespace opforge::driver
