// Runs the op on the GPU. Where there is none it says so, compiles for another machine's GPU
// instead, and still ends well.
#include "my_op_builder.hpp"

#include <opforge/base/error.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/device_buffer.hpp>

#include <cstdio>
#include <span>
#include <vector>

namespace {

int run_on_gpu(const MyOpBuilder& builder) {
    using namespace opforge::driver;
    const auto triple = builder.load_program(/*device=*/0, "triple")
                            ->kernel<void(const float*, float*, int)>(scale_of_floats());
    const ScopedContext context(triple.api(), primary_context(triple.api(), 0));

    std::vector<float> values(100000, 1.5F);
    const DeviceBuffer input(triple.api(), values.size() * sizeof(float));
    const DeviceBuffer output(triple.api(), values.size() * sizeof(float));
    input.upload(std::as_bytes(std::span(values)));
    triple(over(values.size()), /*stream=*/nullptr, static_cast<const float*>(input.data()),
           static_cast<float*>(output.data()), static_cast<int>(values.size()));
    output.download(std::as_writable_bytes(std::span(values)));

    const bool right = values.front() == 4.5F && values.back() == 4.5F;
    std::printf("own_op: on the GPU, 3 * 1.5 = %g\n", static_cast<double>(values.back()));
    return right ? 0 : 1;
}

int compile_only(const MyOpBuilder& builder, const std::string& reason) {
    std::printf("own_op: skipped the GPU: %s\n", reason.c_str());
    for (const auto& outcome : builder.build(opforge::builder::parse_target("sm_90"))) {
        if (outcome.error_kind == "ToolchainNotFound") {
            std::printf("own_op: skipped compiling: %s\n", outcome.error.c_str());
            return 0;
        }
        if (!outcome.error.empty()) {
            std::printf("own_op: %s\n", outcome.error.c_str());
            return 1;
        }
        std::printf("own_op: %s for sm_90: %s, %llu bytes\n", outcome.program.c_str(),
                    outcome.compiled ? "compiled" : "from the cache",
                    static_cast<unsigned long long>(outcome.size_bytes));
    }
    return 0;
}

}  // namespace

int main() {
    try {
        const MyOpBuilder builder;
        const auto compatible = builder.is_compatible(0);
        return compatible ? run_on_gpu(builder) : compile_only(builder, compatible.reason);
    } catch (const opforge::Error& error) {
        std::printf("own_op: %s\n", error.what());
        return 1;
    }
}
