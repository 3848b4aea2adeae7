#include "startup_measurements.hpp"
#include "raw_cuda.hpp"

#include <opforge/builder/nvrtc_discovery.hpp>
#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/opforge.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <cuda.h>
#include <fmt/format.h>
#include <nvrtc.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace opforge::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kGroups = 256;
constexpr std::int64_t kElements = kGroups * 256;
constexpr runtime::FakeQuantizeVariant kVariant{runtime::FakeQuantizeVariant::Element::fp16, false,
                                                false, runtime::FakeQuantizeKernel::groups};

double microseconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::micro>(to - from).count();
}

/// libcuda, initialised, with the device's primary context current.
class RawContext {
public:
    explicit RawContext(int ordinal) : start_(Clock::now()), cuda_("libcuda.so.1") {
        require(cuda_.function<decltype(&cuInit)>("cuInit")(0), "cuInit");
        initialised_ = Clock::now();
        CUdevice device = 0;
        require(cuda_.function<decltype(&cuDeviceGet)>("cuDeviceGet")(&device, ordinal),
                "cuDeviceGet");
        CUcontext context = nullptr;
        require(cuda_.function<decltype(&cuDevicePrimaryCtxRetain)>("cuDevicePrimaryCtxRetain")(
                    &context, device),
                "cuDevicePrimaryCtxRetain");
        require(cuda_.function<decltype(&cuCtxSetCurrent)>("cuCtxSetCurrent")(context),
                "cuCtxSetCurrent");
        ready_ = Clock::now();
    }
    [[nodiscard]] const RawLibrary& cuda() const { return cuda_; }
    [[nodiscard]] double total() const { return microseconds(start_, ready_); }
    void report(nlohmann::json& into) const {
        into["cu_init"] = microseconds(start_, initialised_);
        into["context"] = microseconds(initialised_, ready_);
        into["cu_init_and_context"] = total();
    }
    void synchronise() const {
        require(cuda_.function<CUresult (*)()>("cuCtxSynchronize")(), "cuCtxSynchronize");
    }

private:
    Clock::time_point start_;  // before the library is opened: the order of members matters
    RawLibrary cuda_;
    Clock::time_point initialised_;
    Clock::time_point ready_;
};

builder::ProgramSpec program_spec(const builder::QuantizerBuilder& quantizer) {
    for (builder::ProgramSpec& spec : quantizer.programs()) {
        if (spec.name == kProgram) {
            return std::move(spec);
        }
    }
    throw std::runtime_error(fmt::format("the op has no program {}", kProgram));
}

bool maps_contain(const char* name) {
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>()};
    return text.find(name) != std::string::npos;
}

}  // namespace

nlohmann::json probe(const StartupTask& task) {
    nlohmann::json found;
    const driver::DriverState& state = driver::driver_state();
    found["gpu"] = false;
    if (state.api == nullptr) {
        found["reason"] = state.reason;
    } else if (driver::device_count(*state.api) <= task.device) {
        found["reason"] = fmt::format("no CUDA device {}", task.device);
    } else {
        const driver::DeviceInfo info = driver::device_info(*state.api, task.device);
        found["gpu"] = true;
        found["name"] = info.name;
        found["target"] = fmt::format("sm_{}{}", info.capability_major, info.capability_minor);
        found["cuda"] = fmt::format("{}.{}", state.version / 1000, state.version % 1000 / 10);
    }
    const auto environment = builder::DiscoveryEnvironment::of_process();
    for (const builder::NvrtcCandidate& candidate : builder::all_candidates(environment)) {
        if (candidate.usable) {
            found["nvrtc"] = candidate.library.string();
            found["nvrtc_version"] = fmt::format("{}.{}", candidate.major, candidate.minor);
            break;
        }
    }
    return found;
}

nlohmann::json measure_context(const StartupTask& task) {
    const RawContext context(task.device);
    nlohmann::json took;
    context.report(took);
    return took;
}

nlohmann::json measure_first_op(const StartupTask& task) {
    const RawContext context(task.device);
    CUdeviceptr memory = 0;
    constexpr std::size_t kBytes = kElements * 2;
    require(context.cuda().function<decltype(&cuMemAlloc_v2)>("cuMemAlloc_v2")(&memory, kBytes),
            "cuMemAlloc");
    // 0x3c3c is a little above 1 in fp16; what is in the tensor makes no difference to the time.
    require(
        context.cuda().function<decltype(&cuMemsetD8_v2)>("cuMemsetD8_v2")(memory, 0x3c, kBytes),
        "cuMemsetD8");
    context.synchronise();

    const Clock::time_point start = Clock::now();
    const TensorView tensor{reinterpret_cast<void*>(static_cast<std::uintptr_t>(memory)),
                            Dtype::float16, Shape{kElements}, Device::cuda(task.device)};
    ds_quantizer(tensor, kGroups, 8);
    const Clock::time_point returned = Clock::now();
    context.synchronise();
    const Clock::time_point done = Clock::now();
    ds_quantizer(tensor, kGroups, 8);
    const Clock::time_point second = Clock::now();
    context.synchronise();

    nlohmann::json took;
    context.report(took);
    took["first_op_returned"] = microseconds(start, returned);
    took["first_op_done"] = microseconds(start, done);
    took["whole"] = context.total() + microseconds(start, done);
    took["second_op_returned"] = microseconds(done, second);
    const runtime::ProgramKernels* const kernels =
        runtime::quantizer_module(task.device).loaded(kVariant);
    if (kernels == nullptr) {
        throw std::runtime_error(fmt::format("the op did not use {}", kProgram));
    }
    took["load_program"] = static_cast<double>(kernels->program->load_time().count());
    const bool compiled = kernels->program->origin() == cache::Origin::compiled;
    if (compiled) {
        took["compile"] = static_cast<double>(kernels->program->manifest().compile_microseconds);
    }
    took["origin"] = cache::to_string(kernels->program->origin());
    took["libnvrtc_mapped"] = maps_contain("libnvrtc");
    return took;
}

nlohmann::json measure_steps(const StartupTask& task) {
    const RawContext context(task.device);
    const Clock::time_point start = Clock::now();
    const driver::DriverApi& api = driver::real_driver();
    const Clock::time_point opened = Clock::now();
    static_cast<void>(driver::device_info(api, task.device));
    const Clock::time_point asked = Clock::now();
    runtime::QuantizerModule& module = runtime::quantizer_module(task.device);
    const Clock::time_point made = Clock::now();
    static_cast<void>(module.kernels(kVariant));
    const Clock::time_point loaded = Clock::now();
    nlohmann::json took;
    took["open_driver"] = microseconds(start, opened);
    took["device_info"] = microseconds(opened, asked);
    took["make_module"] = microseconds(asked, made);
    took["load_kernels"] = microseconds(made, loaded);
    return took;
}

nlohmann::json measure_raw_load(const StartupTask& task) {
    const std::vector<std::string> names = program_spec(builder::QuantizerBuilder()).kernels;
    std::ifstream file(task.cubin, std::ios::binary);
    const std::vector<char> code{std::istreambuf_iterator<char>(file),
                                 std::istreambuf_iterator<char>()};
    const RawContext context(task.device);
    const auto load = context.cuda().function<decltype(&cuLibraryLoadData)>("cuLibraryLoadData");
    const auto get = context.cuda().function<decltype(&cuLibraryGetKernel)>("cuLibraryGetKernel");
    const auto function =
        context.cuda().function<decltype(&cuKernelGetFunction)>("cuKernelGetFunction");

    const Clock::time_point start = Clock::now();
    CUlibrary library = nullptr;
    require(load(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
            "cuLibraryLoadData");
    CUkernel kernel = nullptr;
    for (const std::string& name : names) {
        require(get(&kernel, library, name.c_str()), "cuLibraryGetKernel");
    }
    const Clock::time_point handles = Clock::now();
    CUfunction entry = nullptr;
    require(function(&entry, kernel), "cuKernelGetFunction");
    const Clock::time_point loaded = Clock::now();

    nlohmann::json took;
    took["raw_load"] = microseconds(start, handles);
    took["raw_load_into_context"] = microseconds(start, loaded);
    return took;
}

nlohmann::json measure_raw_compile(const StartupTask& task) {
    const builder::QuantizerBuilder quantizer;
    const builder::ProgramSpec spec = program_spec(quantizer);
    builder::CompileOptions options = quantizer.compile_options();
    options.defines.insert(options.defines.end(), spec.defines.begin(), spec.defines.end());
    const std::vector<std::string> arguments =
        options.nvrtc_arguments(builder::parse_target(task.target));
    const EmbeddedSource* const source = quantizer.embedded().find(spec.source);
    if (source == nullptr) {
        throw std::runtime_error(fmt::format("{} is not embedded", spec.source));
    }
    const std::string text(source->file.text);
    std::vector<std::string> header_names;
    std::vector<std::string> header_texts;
    for (const EmbeddedFile& header : source->headers) {
        header_names.emplace_back(header.name);
        header_texts.emplace_back(header.text);
    }
    const auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<const char*> list(texts.size());
        std::transform(texts.begin(), texts.end(), list.begin(),
                       [](const std::string& one) { return one.c_str(); });
        return list;
    };

    const Clock::time_point start = Clock::now();
    const RawLibrary nvrtc(task.nvrtc.c_str());
    const Clock::time_point opened = Clock::now();
    int major = 0;
    int minor = 0;
    require(nvrtc.function<decltype(&nvrtcVersion)>("nvrtcVersion")(&major, &minor),
            "nvrtcVersion");
    std::vector<const char*> options_list = pointers(arguments);
    if (major * 100 + minor >= 1209) {
        options_list.push_back("--no-cache");  // else it finds last time's result below ~/.nv
    }
    if (options.minimal && major * 100 + minor >= 1204) {
        options_list.push_back("--minimal");
    }
    nvrtcProgram program = nullptr;
    require(nvrtc.function<decltype(&nvrtcCreateProgram)>("nvrtcCreateProgram")(
                &program, text.c_str(), spec.source.c_str(), static_cast<int>(header_texts.size()),
                pointers(header_texts).data(), pointers(header_names).data()),
            "nvrtcCreateProgram");
    require(nvrtc.function<decltype(&nvrtcCompileProgram)>("nvrtcCompileProgram")(
                program, static_cast<int>(options_list.size()), options_list.data()),
            "nvrtcCompileProgram");
    std::size_t size = 0;
    require(nvrtc.function<decltype(&nvrtcGetCUBINSize)>("nvrtcGetCUBINSize")(program, &size),
            "nvrtcGetCUBINSize");
    std::vector<char> cubin(size);
    require(nvrtc.function<decltype(&nvrtcGetCUBIN)>("nvrtcGetCUBIN")(program, cubin.data()),
            "nvrtcGetCUBIN");
    const Clock::time_point compiled = Clock::now();

    nlohmann::json took;
    took["nvrtc_open"] = microseconds(start, opened);
    took["nvrtc_compile"] = microseconds(opened, compiled);
    took["raw_compile"] = microseconds(start, compiled);
    return took;
}

nlohmann::json measure_build(const StartupTask& task) {
    const Clock::time_point start = Clock::now();
    const builder::QuantizerBuilder quantizer;
    const builder::BuildOutcome outcome =
        quantizer.build_program(builder::parse_target(task.target), kProgram);
    const Clock::time_point done = Clock::now();
    if (!outcome.error.empty()) {
        throw std::runtime_error(outcome.error);
    }
    nlohmann::json took;
    took["build"] = microseconds(start, done);
    took["origin"] = outcome.compiled ? "compiled" : "user_directory";
    took["libnvrtc_mapped"] = maps_contain("libnvrtc");
    return took;
}

}  // namespace opforge::bench
