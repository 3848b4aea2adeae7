// The report's driver and devices.
#include "report.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/environment.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

namespace opforge::tools {
namespace {

constexpr int kOldestDriver = 12000;
constexpr int kOldestCapability = 75;

// Where the kernel module is loaded, its library should be, too.
bool gpu_is_here() {
    std::error_code ignored;
    return std::filesystem::exists("/dev/nvidiactl", ignored);
}

Check driver_check(const driver::DriverState& state) {
    if (state.api == nullptr) {
        const std::string remedy =
            "ops on the host and prewarm work without; for a GPU, install NVIDIA's driver (in a "
            "container: start it with the GPUs, --gpus all)";
        return {"driver", gpu_is_here() ? Verdict::failed : Verdict::note, "none: " + state.reason,
                remedy};
    }
    if (state.version < kOldestDriver) {
        return {"driver", Verdict::failed,
                fmt::format("CUDA {} is too old", cuda_version(state.version)),
                "opforge needs a driver of CUDA 12.0 or newer"};
    }
    return {"driver", Verdict::ok, fmt::format("CUDA {}", cuda_version(state.version))};
}

}  // namespace

std::string cuda_version(int number) {
    return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

Section driver_section() {
    const driver::DriverState& state = driver::driver_state();
    Section section;
    if (state.api == nullptr) {
        section.text = fmt::format("driver   none: {}\n", state.reason);
        section.data = {{"available", false}, {"reason", state.reason}};
    } else {
        section.text =
            fmt::format("driver   CUDA {} ({})\n", cuda_version(state.version), state.library);
        section.data = {
            {"available", true}, {"version", state.version}, {"library", state.library}};
    }
    section.checks.push_back(driver_check(state));
    return section;
}

FoundDevices find_devices() {
    FoundDevices found;
    const driver::DriverState& state = driver::driver_state();
    if (state.api == nullptr) {
        return found;
    }
    try {
        const int count = driver::device_count(*state.api);
        for (int ordinal = 0; ordinal < count; ++ordinal) {
            found.devices.push_back(driver::device_info(*state.api, ordinal));
        }
        if (count == 0) {
            const auto visible = environment("CUDA_VISIBLE_DEVICES");
            found.checks.push_back(
                {"devices", Verdict::note, "the driver shows no GPU",
                 visible ? fmt::format("CUDA_VISIBLE_DEVICES={} may hide them", *visible)
                         : "in a container, start it with the GPUs (--gpus all)"});
        }
    } catch (const DriverError& error) {
        found.checks.push_back({"devices", Verdict::failed, error.what(),
                                "nvidia-smi, or the kernel's log, may say more"});
    }
    return found;
}

Section device_section(const FoundDevices& found) {
    Section section{{}, Json::array(), found.checks};
    for (const driver::DeviceInfo& device : found.devices) {
        const std::string architecture =
            fmt::format("sm_{}{}", device.capability_major, device.capability_minor);
        section.text += fmt::format(
            "cuda:{}   {}, {}, {} SMs, {} memory, {} L2, {} shared memory a block\n",
            device.ordinal, device.name, architecture, device.multiprocessors,
            format_size(device.memory_bytes),
            format_size(static_cast<std::uint64_t>(device.l2_bytes)),
            format_size(static_cast<std::uint64_t>(device.shared_bytes_per_block_optin)));
        section.data.push_back({{"ordinal", device.ordinal},
                                {"name", device.name},
                                {"uuid", device.uuid},
                                {"architecture", architecture},
                                {"multiprocessors", device.multiprocessors},
                                {"memory_bytes", device.memory_bytes},
                                {"l2_bytes", device.l2_bytes},
                                {"shared_bytes_per_block", device.shared_bytes_per_block_optin},
                                {"cooperative_launch", device.cooperative_launch},
                                {"cluster_launch", device.cluster_launch}});
        const bool old = device.capability_major * 10 + device.capability_minor < kOldestCapability;
        section.checks.push_back({fmt::format("device.{}", device.ordinal),
                                  old ? Verdict::warning : Verdict::ok,
                                  fmt::format("{} is {}", device.name, architecture),
                                  old ? "opforge's kernels need capability 7.5 or newer; leave it "
                                        "out with CUDA_VISIBLE_DEVICES"
                                      : ""});
    }
    if (found.devices.empty()) {
        section.text = "devices  none\n";
    }
    return section;
}

}  // namespace opforge::tools
