// What every call on a GPU begins with: the module, the right context, loaded kernels, and memory
// for the length of the call.
#pragma once

#include <opforge/driver/context.hpp>
#include <opforge/driver/cuda_types.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <bit>
#include <cstdint>
#include <optional>

namespace opforge::runtime {

/// The module of a device. @throws DriverError in a forked child; as quantizer_module otherwise
[[nodiscard]] QuantizerModule& module_for_call(const char* op, int device);

/// Makes the right context current for the scope of a call, and only where another one is.
class CallContext {
public:
    /// @throws InvalidArgument where the stream is another device's
    CallContext(const char* op, const QuantizerModule& module, driver::StreamHandle stream);

    /// The one that is current now.
    [[nodiscard]] driver::ContextHandle context() const noexcept { return context_; }

private:
    driver::ContextHandle context_ = nullptr;
    std::optional<driver::ScopedContext> scope_;
};

/// CU_STREAM_LEGACY and CU_STREAM_PER_THREAD are names of the current context's streams, not
/// handles of one's own.
[[nodiscard]] inline bool is_default_stream(driver::StreamHandle stream) noexcept {
    return std::bit_cast<std::uintptr_t>(stream) <= 2;
}

/// Whether a graph is being captured on the stream, also where another capture forbids asking.
[[nodiscard]] bool is_capturing(const driver::DriverApi& api, driver::StreamHandle stream);

/// As driver::launch, but false, with nothing launched, where fewer blocks or clusters can be
/// resident than the device's facts promise. @throws DriverError for every other failure
[[nodiscard]] bool try_launch(const driver::DriverApi& api, driver::KernelHandle kernel,
                              const driver::LaunchConfig& config, driver::StreamHandle stream,
                              void** arguments, const char* label);

/// Compiling and loading inside a capture would break the capture, so it is refused before it
/// begins. @throws DriverError
void refuse_first_use_in_capture(const char* op, const driver::DriverApi& api,
                                 driver::StreamHandle stream, const std::string& program);

/// The variant's kernels: one atomic load after the first use. @throws as QuantizerModule::kernels
template <class Variant>
[[nodiscard]] const ProgramKernels& kernels_for_call(const char* op, QuantizerModule& module,
                                                     driver::StreamHandle stream, Variant variant) {
    if (const ProgramKernels* ready = module.loaded(variant)) {
        return *ready;
    }
    refuse_first_use_in_capture(op, module.api(), stream, variant.program());
    return module.kernels(variant);
}

/// Device memory for the length of a call, ordered by the stream: inside a capture it becomes nodes
/// of the graph.
class StreamWorkspace {
public:
    StreamWorkspace(const QuantizerModule& module, driver::StreamHandle stream,
                    std::uint64_t size_bytes);
    StreamWorkspace(const StreamWorkspace&) = delete;
    StreamWorkspace& operator=(const StreamWorkspace&) = delete;
    ~StreamWorkspace();
    [[nodiscard]] driver::DevicePointer address() const noexcept { return address_; }

private:
    const driver::DriverApi* api_;
    driver::StreamHandle stream_;
    bool pooled_;
    driver::DevicePointer address_ = 0;
};

}  // namespace opforge::runtime
