#include <opforge/base/error.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/quantizer_module.hpp>
#include <opforge/runtime/warm_up.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace opforge::runtime {
namespace {

std::vector<FakeQuantizeVariant> all_variants() {
    std::vector<FakeQuantizeVariant> variants;
    using Element = FakeQuantizeVariant::Element;
    for (const Element element : {Element::fp16, Element::bf16, Element::fp32}) {
        for (const bool stochastic : {false, true}) {
            for (const bool asymmetric : {false, true}) {
                for (const FakeQuantizeKernel kernel :
                     {FakeQuantizeKernel::groups, FakeQuantizeKernel::block,
                      FakeQuantizeKernel::split}) {
                    variants.push_back({.element = element,
                                        .stochastic = stochastic,
                                        .asymmetric = asymmetric,
                                        .kernel = kernel});
                }
            }
        }
    }
    return variants;
}

std::vector<FakeQuantizeVariant> variants_named(const std::vector<std::string>& programs) {
    const std::vector<FakeQuantizeVariant> known = all_variants();
    if (programs.empty()) {
        return known;
    }
    std::vector<FakeQuantizeVariant> wanted;
    for (const std::string& program : programs) {
        const std::size_t before = wanted.size();
        std::copy_if(known.begin(), known.end(), std::back_inserter(wanted),
                     [&](const FakeQuantizeVariant& variant) {
                         return variant.function() == program || variant.program() == program;
                     });
        if (wanted.size() == before) {
            std::string names;
            for (const FakeQuantizeVariant& variant : known) {
                names += (names.empty() ? "" : ", ") + variant.program();
            }
            throw InvalidArgument(
                fmt::format("warm_up: no program {}; there are: {}", program, names));
        }
    }
    return wanted;
}

/// Brings the kernels into the device's primary context now: the driver would otherwise load each
/// on its first launch, which a capture does not allow.
void bring_in(const QuantizerModule& module, const FakeQuantizeKernels& kernels) {
    const driver::DriverApi& api = module.api();
    const driver::ScopedContext scope(api, driver::primary_context(api, module.device().ordinal));
    for (const driver::KernelHandle kernel : {kernels.first, kernels.second}) {
        if (kernel == nullptr) {
            continue;
        }
        driver::FunctionHandle function = nullptr;
        driver::check(api, api.kernel_get_function(&function, kernel), "cuKernelGetFunction",
                      kernels.program->name());
    }
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
    const std::vector<FakeQuantizeVariant> variants = variants_named(options.programs);
    const std::vector<int> devices = options.devices.empty() ? all_devices() : options.devices;
    WarmUpProgress progress{
        .done = 0, .total = variants.size() * devices.size(), .program = {}, .origin = {}};
    for (const int device : devices) {
        QuantizerModule& module = quantizer_module(device);
        for (const FakeQuantizeVariant variant : variants) {
            if (options.stop.stop_requested()) {
                return progress.done;
            }
            const FakeQuantizeKernels& kernels = module.kernels(variant);
            bring_in(module, kernels);
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
