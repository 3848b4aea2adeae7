// Calls what the blocks of docs/kernel_author_guide.md declare. Exit code 0: each did what the
// guide says; without a GPU or an NVRTC it says what it skipped.
#include "block_1.hpp"
#include "block_2.hpp"
#include "my_op_builder.hpp"

#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>

#include <array>
#include <cstdio>
#include <span>

namespace {

bool compiles_text_of_run_time() {
    const auto outcome = AddBuilder().build(opforge::builder::parse_target("sm_90")).at(0);
    if (outcome.error_kind == "ToolchainNotFound") {
        std::printf("skipped compiling: %s\n", outcome.error.c_str());
        return true;
    }
    std::printf("%s: %s\n", outcome.program.c_str(), outcome.error.c_str());
    return outcome.error.empty() && outcome.size_bytes > 0;
}

bool scales_on_the_gpu() {
    using namespace opforge::driver;
    const MyOpBuilder builder;
    if (const auto compatible = builder.is_compatible(0); !compatible) {
        std::printf("skipped the GPU: %s\n", compatible.reason.c_str());
        return true;
    }
    const DriverApi& api = real_driver();
    const ScopedContext context(api, primary_context(api, 0));
    std::array<float, 3> values = {1.0F, 2.0F, 3.0F};
    const DeviceBuffer memory(api, sizeof values);
    memory.upload(std::as_bytes(std::span(values)));
    auto* const device = static_cast<float*>(memory.data());
    scale(builder, device, device, 3, /*stream=*/nullptr);
    memory.download(std::as_writable_bytes(std::span(values)));
    return values == std::array<float, 3>{2.0F, 4.0F, 6.0F};
}

}  // namespace

int main() {
    const bool good = tiled() == "tiled<float, 128, mine::Add>" && compiles_text_of_run_time() &&
                      scales_on_the_gpu();
    return good ? 0 : 1;
}
