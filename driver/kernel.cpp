#include <opforge/base/error.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/kernel.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace opforge::driver {
namespace {

enum class Answer { found, no_such_parameter, needs_context, cannot_say };

struct Place {
    std::size_t offset_bytes = 0;
    std::size_t size_bytes = 0;
};

Answer ask(const DriverApi& api, KernelHandle kernel, std::size_t index, const std::string& label,
           Place& place) {
    const int result = api.kernel_parameter(kernel, index, &place.offset_bytes, &place.size_bytes);
    switch (result) {
    case 1:  // CUDA_ERROR_INVALID_VALUE
        return Answer::no_such_parameter;
    case 201:  // CUDA_ERROR_INVALID_CONTEXT
        return Answer::needs_context;
    case 801:  // CUDA_ERROR_NOT_SUPPORTED
        return Answer::cannot_say;
    default:
        check(api, result, "cuKernelGetParamInfo", label);
        return Answer::found;
    }
}

std::string refusal(const std::string& label, const std::string& what) {
    return fmt::format("kernel {}: {}; write the signature as the device code declares it", label,
                       what);
}

}  // namespace

bool check_parameters(const DriverApi& api, KernelHandle kernel,
                      std::span<const ParameterLayout> parameters, const std::string& label) {
    Place place;
    std::size_t expected_offset = 0;
    for (std::size_t index = 0; index < parameters.size(); ++index) {
        const Answer answer = ask(api, kernel, index, label, place);
        if (answer == Answer::needs_context || answer == Answer::cannot_say) {
            return answer == Answer::cannot_say;
        }
        if (answer == Answer::no_such_parameter) {
            throw InvalidArgument(
                refusal(label, fmt::format("the signature has {} parameters, the kernel takes {}",
                                           parameters.size(), index)));
        }
        const ParameterLayout& parameter = parameters[index];
        const std::size_t alignment = std::max<std::size_t>(parameter.alignment_bytes, 1);
        expected_offset = (expected_offset + alignment - 1) / alignment * alignment;
        if (place.size_bytes != parameter.size_bytes || place.offset_bytes != expected_offset) {
            throw InvalidArgument(refusal(
                label, fmt::format("parameter {} of the signature has {} bytes at offset {}, the "
                                   "kernel takes {} bytes at offset {}",
                                   index + 1, parameter.size_bytes, expected_offset,
                                   place.size_bytes, place.offset_bytes)));
        }
        expected_offset += parameter.size_bytes;
    }
    const Answer beyond = ask(api, kernel, parameters.size(), label, place);
    if (beyond == Answer::found) {
        throw InvalidArgument(
            refusal(label, fmt::format("the signature has {} parameters, the kernel takes more",
                                       parameters.size())));
    }
    return beyond != Answer::needs_context;
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
