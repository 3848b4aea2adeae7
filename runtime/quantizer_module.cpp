#include "repeated_calls.hpp"
#include "resident_clusters.hpp"
#include "stream_boards.hpp"

#include <opforge/base/process_object.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <fmt/format.h>

#include <array>
#include <mutex>
#include <utility>

namespace opforge::runtime {

QuantizerModule::QuantizerModule(std::shared_ptr<const builder::OpBuilder> builder,
                                 const driver::DriverApi& api, int device)
    : builder_(std::move(builder)), api_(&api), device_(driver::device_info(api, device)),
      only_device_(driver::device_count(api) == 1),
      facts_{.multiprocessors = device_.multiprocessors,
             .max_threads_per_block = device_.max_threads_per_block,
             .shared_bytes_per_block = device_.shared_bytes_per_block_optin,
             .shared_bytes_per_multiprocessor = device_.shared_bytes_per_multiprocessor,
             .max_threads_per_multiprocessor = device_.max_threads_per_multiprocessor,
             .cooperative_launch = device_.cooperative_launch,
             .cluster_launch = device_.cluster_launch},
      boards_(std::make_unique<StreamBoards>(api, device_.memory_pools, most_board_bytes(facts_))) {
}

QuantizerModule::~QuantizerModule() {
    for (auto& slot : slots_) {
        delete slot.load(std::memory_order_acquire);
    }
}

const ProgramKernels& QuantizerModule::load(std::size_t slot, const std::string& program,
                                            const std::vector<std::string>& kernels,
                                            std::uint32_t shared_bytes) {
    // Several threads may come here at once: the builder loads the program once, and the first to
    // publish wins.
    auto made = std::make_unique<ProgramKernels>();
    made->resident = std::make_shared<ResidentClusters>();
    made->program = builder_->load_program(device_.ordinal, program);
    made->kernels.first = made->program->kernel(kernels.front());
    if (kernels.size() > 1) {
        made->kernels.second = made->program->kernel(kernels[1]);
    }
    if (shared_bytes > 0) {
        driver::check(
            *api_,
            api_->kernel_set_max_dynamic_shared(made->kernels.first, device_.handle,
                                                static_cast<int>(shared_bytes)),
            "cuKernelSetAttribute",
            fmt::format("{} of {} bytes of shared memory", kernels.front(), shared_bytes));
    }
    made->primary = driver::primary_context(*api_, device_.ordinal);
    const driver::ScopedContext current(*api_, made->primary);
    const auto function_of = [&](driver::KernelHandle kernel) {
        driver::FunctionHandle function = nullptr;
        if (kernel != nullptr) {
            driver::check(*api_, api_->kernel_get_function(&function, kernel),
                          "cuKernelGetFunction", program);
        }
        return driver::as_kernel(function);
    };
    made->functions = {function_of(made->kernels.first), function_of(made->kernels.second)};
    const ProgramKernels* expected = nullptr;
    if (slots_[slot].compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel)) {
        return *made.release();
    }
    return *expected;
}

namespace {

constexpr int kMaxDevices = 64;

// Apart from the registry, which is made on first use: finding a module is one atomic load.
constinit std::array<std::atomic<QuantizerModule*>, kMaxDevices> modules{};

struct Registry {
    std::mutex mutex;  // guards making and dropping modules
    builder::BuilderContext context;
    std::shared_ptr<const builder::OpBuilder> builder;
};

// A destructor at exit would unload kernels after the driver's own teardown.
Registry& registry() {
    static constinit ProcessObject<Registry> instance;
    return instance.get();
}

void drop_modules(Registry& all) {
    forget_calls();
    for (auto& slot : modules) {
        delete slot.exchange(nullptr, std::memory_order_acq_rel);
    }
    all.builder.reset();
}

QuantizerModule& make_module(int device) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    const driver::DriverApi& api =
        all.context.driver != nullptr ? *all.context.driver : driver::real_driver();
    const int present = driver::device_count(api);
    if (device < 0 || device >= present || device >= kMaxDevices) {
        throw NoDevice(fmt::format(
            "ds_quantizer: the tensor is on cuda:{}, this process sees {} CUDA device(s); check "
            "the device's number and CUDA_VISIBLE_DEVICES",
            device, present));
    }
    auto& slot = modules[static_cast<std::size_t>(device)];
    if (QuantizerModule* ready = slot.load(std::memory_order_acquire)) {
        return *ready;
    }
    if (!all.builder) {
        all.builder = std::make_shared<const builder::QuantizerBuilder>(all.context);
    }
    auto made = std::make_unique<QuantizerModule>(all.builder, api, device);
    slot.store(made.get(), std::memory_order_release);
    return *made.release();
}

}  // namespace

QuantizerModule& quantizer_module(int device) {
    if (device >= 0 && device < kMaxDevices) {
        if (QuantizerModule* ready =
                modules[static_cast<std::size_t>(device)].load(std::memory_order_acquire)) {
            return *ready;
        }
    }
    return make_module(device);
}

void configure_quantizer(builder::BuilderContext context) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    drop_modules(all);
    all.context = std::move(context);
}

void shutdown() {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    drop_modules(all);
}

}  // namespace opforge::runtime
