#include <opforge/base/error.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/quantizer_module.hpp>
#include <opforge/runtime/warm_up.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace opforge::runtime {
namespace {

/// A program by name, and how a module loads it.
struct Loading {
    std::string function;
    std::string program;
    std::function<const ProgramKernels&(QuantizerModule&)> load;
};

template <class Variant>
void add_all(std::vector<Loading>& to) {
    for (const Variant& variant : Variant::all()) {
        to.push_back({variant.function(), variant.program(),
                      [variant](QuantizerModule& module) -> const ProgramKernels& {
                          return module.kernels(variant);
                      }});
    }
}

std::vector<Loading> loadings_named(const std::vector<std::string>& names) {
    std::vector<Loading> known;
    add_all<FakeQuantizeVariant>(known);
    add_all<CodesVariant>(known);
    if (names.empty()) {
        return known;
    }
    std::vector<Loading> wanted;
    for (const std::string& name : names) {
        const std::size_t before = wanted.size();
        std::copy_if(
            known.begin(), known.end(), std::back_inserter(wanted),
            [&](const Loading& one) { return one.function == name || one.program == name; });
        if (wanted.size() == before) {
            std::string programs;
            for (const Loading& one : known) {
                programs += (programs.empty() ? "" : ", ") + one.program;
            }
            throw InvalidArgument(
                fmt::format("warm_up: no program {}; there are: {}", name, programs));
        }
    }
    return wanted;
}

std::vector<int> all_devices() {
    // Device 0's module knows the driver in use, the process's own or a host's.
    const int count = driver::device_count(quantizer_module(0).api());
    std::vector<int> devices;
    for (int device = 0; device < count; ++device) {
        devices.push_back(device);
    }
    return devices;
}

}  // namespace

std::size_t warm_up(const WarmUpOptions& options) {
    const std::vector<Loading> loadings = loadings_named(options.programs);
    const std::vector<int> devices = options.devices.empty() ? all_devices() : options.devices;
    WarmUpProgress progress{
        .done = 0, .total = loadings.size() * devices.size(), .program = {}, .origin = {}};
    for (const int device : devices) {
        QuantizerModule& module = quantizer_module(device);
        for (const Loading& loading : loadings) {
            if (options.stop.stop_requested()) {
                return progress.done;
            }
            const ProgramKernels& kernels = loading.load(module);
            ++progress.done;
            if (options.progress) {
                progress.program = kernels.program->name();
                progress.origin = cache::to_string(kernels.program->origin());
                options.progress(progress);
            }
        }
    }
    return progress.done;
}

std::future<std::size_t> warm_up_in_background(WarmUpOptions options) {
    return std::async(std::launch::async,
                      [options = std::move(options)] { return warm_up(options); });
}

}  // namespace opforge::runtime
