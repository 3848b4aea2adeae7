// The parts of `opforge report`: each says what there is, for people and for machines, and whether
// that is as it should be.
#pragma once

#include "output.hpp"

#include <opforge/builder/op_catalog.hpp>
#include <opforge/driver/device.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

/// ok; note: worth knowing; warning: works, not as one would wish; failed: something that was asked
/// for, or is needed, does not work. What a machine simply lacks (a GPU) is a note.
enum class Verdict { ok, note, warning, failed };
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

struct Check {
    std::string id;  // stable: "driver", "cache.space"
    Verdict verdict = Verdict::ok;
    std::string finding;
    std::string remedy = {};  // what to do; empty where nothing has to be done
};

/// Lines under a heading, the same for machines, and what was checked.
struct Section {
    std::string text;
    Json data;
    std::vector<Check> checks = {};
};

/// The devices that the driver shows; a driver that fails is a check.
struct FoundDevices {
    std::vector<driver::DeviceInfo> devices;
    std::vector<Check> checks;
};
[[nodiscard]] FoundDevices find_devices();

[[nodiscard]] Section driver_section();
[[nodiscard]] Section device_section(const FoundDevices& found);
/// Each place where an NVRTC was looked for, and why it was taken or not.
[[nodiscard]] Section nvrtc_section(bool devices_present);
/// The user's folder and the layers.
[[nodiscard]] Section cache_section(const cache::Cache& cache);
/// Ops × devices.
[[nodiscard]] Section op_section(const builder::OpCatalog& catalog,
                                 const builder::BuilderContext& context,
                                 const std::vector<driver::DeviceInfo>& devices);
/// The variables that change what opforge, NVRTC or the driver do.
[[nodiscard]] Section environment_section();

/// "13.0" for 13000.
[[nodiscard]] std::string cuda_version(int number);

}  // namespace opforge::tools
