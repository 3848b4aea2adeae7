// The quantizer's kernels of one device, process-wide: DeepSpeed's lazy global module. Never
// destroyed by itself.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_program.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace opforge::runtime {

class ResidentClusters;
class StreamBoards;

/// The kernels of one program, in the order in which they are launched.
struct ProgramKernels {
    struct Handles {
        driver::KernelHandle first = nullptr;
        driver::KernelHandle second = nullptr;  // of a split program; else null
    };
    Handles kernels;  // of any context
    // The device's primary context, and the kernels as its functions: launched faster.
    driver::ContextHandle primary = nullptr;
    Handles functions;
    std::shared_ptr<ResidentClusters> resident;  // of `first`
    std::shared_ptr<const builder::LoadedProgram> program;

    /// To launch in a context of the device.
    [[nodiscard]] const Handles& in(driver::ContextHandle context) const noexcept {
        return context == primary ? functions : kernels;
    }
};

class OPFORGE_API QuantizerModule {
public:
    QuantizerModule(std::shared_ptr<const builder::OpBuilder> builder, const driver::DriverApi& api,
                    int device);
    QuantizerModule(const QuantizerModule&) = delete;
    QuantizerModule& operator=(const QuantizerModule&) = delete;
    ~QuantizerModule();

    [[nodiscard]] const driver::DriverApi& api() const noexcept { return *api_; }
    [[nodiscard]] const driver::DeviceInfo& device() const noexcept { return device_; }
    /// Whether the process sees no other: every context is then of this one.
    [[nodiscard]] bool is_only_device() const noexcept { return only_device_; }
    /// What launch plans ask of the device.
    [[nodiscard]] const PlanFacts& facts() const noexcept { return facts_; }
    [[nodiscard]] const builder::OpBuilder& builder() const noexcept { return *builder_; }
    /// Memory that cooperative launches need, one for each stream.
    [[nodiscard]] StreamBoards& boards() noexcept { return *boards_; }

    /// The loaded kernels, or null: one atomic load.
    template <class Variant>
    [[nodiscard]] const ProgramKernels* loaded(Variant variant) const noexcept {
        return slots_[Variant::kFirst + variant.index()].load(std::memory_order_acquire);
    }
    /// Loads on first use. @throws as OpBuilder::load_program
    template <class Variant>
    [[nodiscard]] const ProgramKernels& kernels(Variant variant) {
        const ProgramKernels* const ready = loaded(variant);
        return ready != nullptr
                   ? *ready
                   : load(Variant::kFirst + variant.index(), variant.program(), variant.kernels(),
                          variant.keeps_in_shared_memory() ? most_shared_bytes(facts_) : 0);
    }

private:
    const ProgramKernels& load(std::size_t slot, const std::string& program,
                               const std::vector<std::string>& kernels, std::uint32_t shared_bytes);

    std::shared_ptr<const builder::OpBuilder> builder_;
    const driver::DriverApi* api_;
    driver::DeviceInfo device_;
    bool only_device_;
    PlanFacts facts_;
    std::unique_ptr<StreamBoards> boards_;
    std::array<std::atomic<const ProgramKernels*>,
               FakeQuantizeVariant::kCount + CodesVariant::kCount>
        slots_{};
};

/// The module of a device, made on first use. @throws NoDevice, DriverError
[[nodiscard]] OPFORGE_API QuantizerModule& quantizer_module(int device);

/// Replaces what modules are made with (cache, compiler, driver) and drops those that exist: for
/// hosts that bring their own, and for tests. No call may be under way on another thread.
OPFORGE_API void configure_quantizer(builder::BuilderContext context);
/// Drops every module and unloads its kernels. No call may be under way on another thread.
OPFORGE_API void shutdown();

}  // namespace opforge::runtime
