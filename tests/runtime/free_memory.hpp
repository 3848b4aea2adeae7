// Memory for the tests of huge tensors; where there is too little they skip, and say so.
#pragma once

#include <opforge/base/bytes.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/errors.hpp>

#include <cstddef>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

namespace opforge::test {

[[nodiscard]] inline std::size_t available_memory_bytes() {
    std::ifstream file("/proc/meminfo");
    std::string name;
    std::size_t kibibytes = 0;
    std::string unit;
    while (file >> name >> kibibytes) {
        if (name == "MemAvailable:") {
            return kibibytes * 1024;
        }
        std::getline(file, unit);
    }
    return 0;
}

/// Whether so much host memory is free; else the line by which ctest knows a skipped test.
[[nodiscard]] inline bool has_free_memory(std::size_t size_bytes) {
    const std::size_t available = available_memory_bytes();
    if (available >= size_bytes) {
        return true;
    }
    std::cout << "SKIPPED: needs " << format_size(size_bytes) << " of free memory, there are "
              << format_size(available) << '\n';
    return false;
}

/// Device memory in the current context; where there is too little: nullopt, and that line.
[[nodiscard]] inline std::optional<driver::DeviceBuffer> device_memory(const driver::DriverApi& api,
                                                                       std::size_t size_bytes) {
    try {
        return std::optional<driver::DeviceBuffer>(std::in_place, api, size_bytes);
    } catch (const DriverError& error) {
        constexpr int kOutOfMemory = 2;
        if (error.result() != kOutOfMemory) {
            throw;
        }
        std::cout << "SKIPPED: " << error.what() << '\n';
        return std::nullopt;
    }
}

}  // namespace opforge::test
