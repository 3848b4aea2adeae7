#include "device_argument.hpp"

#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <charconv>

namespace opforge::tools {

runtime::Device parse_device(std::string_view text) {
    if (text == "cpu") {
        return runtime::Device::cpu();
    }
    if (text == "cuda") {
        return runtime::Device::cuda(0);
    }
    constexpr std::string_view kPrefix = "cuda:";
    if (text.starts_with(kPrefix) && text.size() > kPrefix.size()) {
        int ordinal = -1;
        const char* end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data() + kPrefix.size(), end, ordinal);
        if (parsed.ec == std::errc{} && parsed.ptr == end && ordinal >= 0) {
            return runtime::Device::cuda(ordinal);
        }
    }
    throw InvalidArgument(fmt::format("device \"{}\": use cpu, cuda or cuda:N", text));
}

std::string to_string(const runtime::Device& device) {
    return device.kind == runtime::Device::Kind::cpu ? "cpu"
                                                     : fmt::format("cuda:{}", device.ordinal);
}

}  // namespace opforge::tools
