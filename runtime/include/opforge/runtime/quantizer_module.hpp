// The quantizer's kernels of one device, process-wide: DeepSpeed's lazy global module. Never
// destroyed by itself.
#pragma once

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/runtime/launch_plan.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace opforge::runtime {

/// Which fake-quantization program: dtype, flags and way of launching.
struct FakeQuantizeVariant {
    enum class Element : std::uint8_t { fp16, bf16, fp32 };
    Element element = Element::fp16;
    bool stochastic = false;
    bool asymmetric = false;
    FakeQuantizeKernel kernel = FakeQuantizeKernel::groups;
    [[nodiscard]] std::size_t index() const noexcept {
        return ((static_cast<std::size_t>(element) * 2 + (stochastic ? 1U : 0U)) * 2 +
                (asymmetric ? 1U : 0U)) *
                   3 +
               static_cast<std::size_t>(kernel);
    }
    static constexpr std::size_t kCount = 36;
    /// "ds_sr_quantize_asym_fp16": the extension's function that the variant carries out.
    [[nodiscard]] std::string function() const;
    /// "ds_sr_quantize_asym_fp16_groups"
    [[nodiscard]] std::string program() const;
};

/// The kernels of one program, in the order in which they are launched.
struct FakeQuantizeKernels {
    driver::KernelHandle first = nullptr;
    driver::KernelHandle second = nullptr;  // split: `apply`; else null
    std::shared_ptr<const builder::LoadedProgram> program;
};

class QuantizerModule {
public:
    QuantizerModule(std::shared_ptr<const builder::OpBuilder> builder, const driver::DriverApi& api,
                    int device);
    QuantizerModule(const QuantizerModule&) = delete;
    QuantizerModule& operator=(const QuantizerModule&) = delete;
    ~QuantizerModule();

    [[nodiscard]] const driver::DriverApi& api() const noexcept { return *api_; }
    [[nodiscard]] const driver::DeviceInfo& device() const noexcept { return device_; }
    [[nodiscard]] const builder::OpBuilder& builder() const noexcept { return *builder_; }

    /// The loaded kernels, or null: one atomic load.
    [[nodiscard]] const FakeQuantizeKernels* loaded(FakeQuantizeVariant variant) const noexcept {
        return slots_[variant.index()].load(std::memory_order_acquire);
    }
    /// Loads on first use. @throws as OpBuilder::load_program
    [[nodiscard]] const FakeQuantizeKernels& kernels(FakeQuantizeVariant variant);

private:
    std::shared_ptr<const builder::OpBuilder> builder_;
    const driver::DriverApi* api_;
    driver::DeviceInfo device_;
    std::array<std::atomic<const FakeQuantizeKernels*>, FakeQuantizeVariant::kCount> slots_{};
};

/// The module of a device, made on first use. @throws NoDevice, DriverError
[[nodiscard]] QuantizerModule& quantizer_module(int device);

/// Replaces what modules are made with (cache, compiler, driver) and drops those that exist: for
/// hosts that bring their own, and for tests. No call may be under way on another thread.
void configure_quantizer(builder::BuilderContext context);
/// Drops every module and unloads its kernels. No call may be under way on another thread.
void shutdown();

}  // namespace opforge::runtime
