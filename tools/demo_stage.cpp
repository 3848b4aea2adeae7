#include "demo_stage.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <fmt/format.h>

#include <chrono>

namespace opforge::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kElements = std::int64_t{1} << 20;
constexpr std::int64_t kGroups = kElements / 128;

// fp16, nearest, symmetric, launched as the plan has it.
runtime::FakeQuantizeVariant variant_for(const runtime::PlanFacts& facts) {
    runtime::FakeQuantizeVariant variant;
    variant.kernel =
        runtime::plan_fake_quantize({kGroups, kElements / kGroups, sizeof(std::uint16_t)}, facts)
            .kernel;
    return variant;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void describe(FirstUse& use, const builder::OpBuilder& builder, const builder::Target& target) {
    use.target = target.name();
    for (const builder::ProgramSpec& program : builder.programs()) {
        if (program.name != use.program) {
            continue;
        }
        const cache::Lookup lookup{
            builder.request(program, target), std::nullopt, cache::Policy::compatible, {}};
        const cache::Result found = builder.context().cache->find(lookup);
        if (found.entry) {
            const cache::Manifest& manifest = found.entry->manifest;
            use.toolchain = fmt::format("{} {}.{}", manifest.toolchain.name,
                                        manifest.toolchain.major, manifest.toolchain.minor);
            use.entry = found.entry->directory;
            use.size_bytes = manifest.artifact.size_bytes;
            use.kernels = manifest.kernels.size();
        }
    }
}

FirstUse on_host(const builder::BuilderContext& context) {
    const builder::Target target = builder::parse_target(kDemoTarget);
    FirstUse use;
    // An H100's figures: what the target is for.
    use.program = variant_for({.multiprocessors = 132, .max_threads_per_block = 1024}).program();
    const auto start = Clock::now();
    const builder::QuantizerBuilder builder(context);
    const builder::BuildOutcome outcome = builder.build_program(target, use.program);
    use.seconds = seconds_since(start);
    if (!outcome.error.empty()) {
        throw RelayedError(outcome.error_kind, outcome.error);
    }
    use.origin = std::string(cache::to_string(outcome.compiled ? cache::Origin::compiled
                                                               : cache::Origin::user_directory));
    describe(use, builder, target);
    return use;
}

FirstUse on_device(int ordinal, const builder::BuilderContext& context) {
    const driver::DriverApi& api = driver::real_driver();
    const driver::ScopedContext scope(api, driver::primary_context(api, ordinal));
    const Bytes zeros(static_cast<std::size_t>(kElements) * sizeof(std::uint16_t));
    const driver::DeviceBuffer buffer(api, zeros.size());
    buffer.upload(zeros);

    FirstUse use;
    const auto start = Clock::now();
    runtime::configure_quantizer(context);
    runtime::ds_quantizer({buffer.data(), runtime::Dtype::float16, runtime::Shape{kElements},
                           runtime::Device::cuda(ordinal)},
                          kGroups, 8);
    driver::check(api, api.context_synchronize(), "cuCtxSynchronize");
    use.seconds = seconds_since(start);

    runtime::QuantizerModule& module = runtime::quantizer_module(ordinal);
    const runtime::FakeQuantizeVariant variant = variant_for(module.facts());
    const auto& program = module.kernels(variant).program;
    use.program = variant.program();
    use.origin = std::string(cache::to_string(program->origin()));
    describe(use, module.builder(), program->target());
    return use;
}

}  // namespace

RelayedError::RelayedError(std::string kind, const std::string& message)
    : Error(message), kind_(std::move(kind)) {}
RelayedError::~RelayedError() = default;

FirstUse first_use(const runtime::Device& device, const builder::BuilderContext& context) {
    return device.kind == runtime::Device::Kind::cuda ? on_device(device.ordinal, context)
                                                      : on_host(context);
}

Json to_json(const FirstUse& use) {
    return {{"seconds", use.seconds},  {"origin", use.origin},       {"program", use.program},
            {"target", use.target},    {"toolchain", use.toolchain}, {"entry", use.entry.string()},
            {"bytes", use.size_bytes}, {"kernels", use.kernels}};
}

FirstUse first_use_from_json(const Json& json) {
    FirstUse use;
    use.seconds = json.at("seconds").get<double>();
    use.origin = json.at("origin").get<std::string>();
    use.program = json.at("program").get<std::string>();
    use.target = json.at("target").get<std::string>();
    use.toolchain = json.at("toolchain").get<std::string>();
    use.entry = json.at("entry").get<std::string>();
    use.size_bytes = json.at("bytes").get<std::uint64_t>();
    use.kernels = json.at("kernels").get<std::uint64_t>();
    return use;
}

}  // namespace opforge::tools
