#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>

#include <opforge/base/bytes.hpp>
#include <opforge/base/environment.hpp>

#include <fmt/format.h>

#include <array>

namespace opforge::driver {

namespace {

constexpr int kNoDevice = 100;  // CUDA_ERROR_NO_DEVICE

// As nvidia-smi prints it. The driver hands out a MIG slice's own UUID and says so only in the
// device's name.
std::string uuid_text(const unsigned char (&uuid)[16], std::string_view device_name) {
    const std::string hex = to_hex(std::as_bytes(std::span(uuid)));
    return fmt::format(
        "{}-{}-{}-{}-{}-{}", device_name.find(" MIG ") != std::string_view::npos ? "MIG" : "GPU",
        hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4), hex.substr(20));
}

[[noreturn]] void throw_no_such_device(int ordinal, int count) {
    const auto visible = environment("CUDA_VISIBLE_DEVICES");
    const std::string filter =
        visible ? fmt::format(" (CUDA_VISIBLE_DEVICES={})", *visible) : std::string{};
    if (count == 0) {
        throw NoDevice(fmt::format(
            "use CUDA device {}: this process sees no CUDA device{}; check that nvidia-smi "
            "lists one, or use the host",
            ordinal, filter));
    }
    throw NoDevice(fmt::format(
        "use CUDA device {}: this process sees {}{}; take a number from 0 to {}", ordinal,
        count == 1 ? "one device" : fmt::format("{} devices", count), filter, count - 1));
}

}  // namespace

int device_count(const DriverApi& api) {
    int count = 0;
    const int result = api.device_count(&count);
    if (result == kNoDevice) {
        return 0;
    }
    check(api, result, "cuDeviceGetCount");
    return count;
}

DeviceInfo device_info(const DriverApi& api, int ordinal) {
    if (const int count = device_count(api); ordinal < 0 || ordinal >= count) {
        throw_no_such_device(ordinal, count);
    }
    DeviceInfo info;
    info.ordinal = ordinal;
    const std::string subject = fmt::format("device {}", ordinal);
    check(api, api.device_get(&info.handle, ordinal), "cuDeviceGet", subject);

    std::array<char, 256> name{};
    check(api, api.device_name(name.data(), static_cast<int>(name.size()), info.handle),
          "cuDeviceGetName", subject);
    name.back() = '\0';
    info.name = name.data();
    unsigned char uuid[16] = {};
    check(api, api.device_uuid(uuid, info.handle), "cuDeviceGetUuid", subject);
    info.uuid = uuid_text(uuid, info.name);
    check(api, api.device_total_memory(&info.memory_bytes, info.handle), "cuDeviceTotalMem",
          subject);

    const auto attribute = [&](Attribute which) {
        int value = 0;
        if (const int result = api.device_attribute(&value, which, info.handle); result != 0) {
            check(api, result, "cuDeviceGetAttribute",
                  fmt::format("device {}, attribute {}", ordinal, static_cast<int>(which)));
        }
        return value;
    };
    info.capability_major = attribute(Attribute::compute_capability_major);
    info.capability_minor = attribute(Attribute::compute_capability_minor);
    info.multiprocessors = attribute(Attribute::multiprocessor_count);
    info.max_threads_per_block = attribute(Attribute::max_threads_per_block);
    info.max_threads_per_multiprocessor = attribute(Attribute::max_threads_per_multiprocessor);
    info.shared_bytes_per_block = attribute(Attribute::max_shared_memory_per_block);
    info.shared_bytes_per_block_optin = attribute(Attribute::max_shared_memory_per_block_optin);
    info.shared_bytes_per_multiprocessor =
        attribute(Attribute::max_shared_memory_per_multiprocessor);
    info.l2_bytes = attribute(Attribute::l2_cache_bytes);
    info.cooperative_launch = attribute(Attribute::cooperative_launch) != 0;
    info.cluster_launch = attribute(Attribute::cluster_launch) != 0;
    info.memory_pools = attribute(Attribute::memory_pools_supported) != 0;
    return info;
}

}  // namespace opforge::driver
