// `opforge demo`: the main job, once, with figures: compile, cache, reuse, quantize.
#include "child_process.hpp"
#include "demo_stage.hpp"
#include "device_argument.hpp"
#include "quantization_error.hpp"
#include "quantize_engine.hpp"
#include "session.hpp"
#include "version.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numbers>
#include <optional>
#include <random>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "demo", "Compile, cache, reuse, quantize: the whole way once, with figures",
    "  opforge demo                  on the first GPU; without one, on the host\n"
    "  opforge demo --device cpu     kernels are compiled and cached all the same\n"};

struct Options {
    std::string device;
    bool stage = false;
};

/// A folder for the cold start's cache, gone afterwards.
class ScratchFolder {
public:
    explicit ScratchFolder(const std::filesystem::path& parent) {
        std::string name = (parent / "demo-XXXXXX").string();
        if (!parent.empty() && ::mkdtemp(name.data()) != nullptr) {
            path_ = name;
        }
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    ~ScratchFolder() {
        std::error_code ignored;
        if (!path_.empty()) {
            std::filesystem::remove_all(path_, ignored);
        }
    }
    /// Empty where it could not be made.
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

struct Setting {
    int bits;
    bool asymmetric;
    bool stochastic;
};
constexpr std::array<Setting, 5> kSettings = {{
    {8, false, false},
    {8, true, false},
    {4, false, false},
    {4, true, false},
    {4, false, true},
}};

struct Quality {
    Setting setting;
    QuantizationError error;
    bool equals_host = true;
};

constexpr std::size_t kValues = std::size_t{1} << 20U;
constexpr std::int64_t kGroupSize = 128;

// Weights as models have them: normal, standard deviation 0.02. std::normal_distribution may differ
// between libraries, and the demo's figures should not.
Bytes normal_halves() {
    std::mt19937_64 generator(2024);
    const auto uniform = [&generator] {
        return (static_cast<double>(generator() >> 11U) + 0.5) * 0x1p-53;
    };
    Bytes bytes(kValues * sizeof(std::uint16_t));
    for (std::size_t i = 0; i < kValues; ++i) {
        const double normal =
            std::sqrt(-2.0 * std::log(uniform())) * std::cos(2.0 * std::numbers::pi * uniform());
        const std::uint16_t half = float_to_half(static_cast<float>(0.02 * normal));
        std::memcpy(bytes.data() + i * sizeof(half), &half, sizeof(half));
    }
    return bytes;
}

std::vector<Quality> measure_quality(const runtime::Device& device) {
    Bytes original = normal_halves();
    Bytes quantized(original.size());
    Bytes on_host(original.size());
    const auto engine = make_engine(device, 0);
    const auto host = make_engine(runtime::Device::cpu(), 0);
    std::vector<Quality> result;
    for (const Setting& setting : kSettings) {
        const EngineCall call{runtime::Dtype::float16,
                              static_cast<std::int64_t>(kValues) / kGroupSize,
                              setting.bits,
                              setting.stochastic,
                              setting.asymmetric,
                              {}};
        engine->run(call, original, quantized);
        Quality quality{setting, measure_error(runtime::Dtype::float16, original, quantized, 0)};
        if (device.kind == runtime::Device::Kind::cuda) {
            host->run(call, original, on_host);
            quality.equals_host = on_host == quantized;
        }
        result.push_back(quality);
    }
    return result;
}

/// Runs the timed stage in a new process. Its error, if it has one, becomes this process's.
FirstUse stage_in_new_process(const runtime::Device& device, const std::filesystem::path& cache_dir,
                              const Session& session) {
    std::vector<std::string> arguments = {
        "/proc/self/exe",  "demo",        "--stage",         "--json", "--device",
        to_string(device), "--cache-dir", cache_dir.string()};
    if (!session.log_level.empty()) {
        arguments.insert(arguments.end(), {"--log-level", session.log_level});
    }
    const ChildResult child = run_child(arguments);
    const Json answer = Json::parse(child.standard_output, nullptr, false);
    if (answer.is_discarded()) {
        throw RelayedError("Defect", fmt::format("the demo's own process ended with {}: {}",
                                                 child.exit_code, child.standard_error));
    }
    for (const Json& error : answer.at("errors")) {
        throw RelayedError(error.at("kind").get<std::string>(),
                           error.at("message").get<std::string>());
    }
    return first_use_from_json(answer.at("data"));
}

runtime::Device choose_device(const std::string& asked) {
    if (!asked.empty()) {
        return parse_device(asked);
    }
    const driver::DriverState& state = driver::driver_state();
    return state.api != nullptr && driver::device_count(*state.api) > 0 ? runtime::Device::cuda(0)
                                                                        : runtime::Device::cpu();
}

std::string device_text(const runtime::Device& device) {
    if (device.kind == runtime::Device::Kind::cuda) {
        const driver::DeviceInfo info = driver::device_info(driver::real_driver(), device.ordinal);
        return fmt::format("{}: {}", to_string(device), info.name);
    }
    const driver::DriverState& state = driver::driver_state();
    return state.api == nullptr ? "the host; no GPU: " + state.reason : "the host";
}

Json quality_json(const std::vector<Quality>& qualities, const runtime::Device& device) {
    Json rows = Json::array();
    for (const Quality& quality : qualities) {
        const auto snr = quality.error.snr_db();
        Json row = {{"bits", quality.setting.bits},
                    {"asymmetric", quality.setting.asymmetric},
                    {"stochastic", quality.setting.stochastic},
                    {"snr_db", snr ? Json(*snr) : Json(nullptr)},
                    {"worst_error", quality.error.worst}};
        if (device.kind == runtime::Device::Kind::cuda) {
            row["equals_host"] = quality.equals_host;
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string quality_text(const std::vector<Quality>& qualities) {
    std::vector<std::vector<std::string>> rows = {
        {"bits", "range", "rounding", "SNR dB", "worst error"}};
    for (const Quality& quality : qualities) {
        rows.push_back({std::to_string(quality.setting.bits),
                        quality.setting.asymmetric ? "asymmetric" : "symmetric",
                        quality.setting.stochastic ? "stochastic" : "nearest",
                        fmt::format("{:.2f}", quality.error.snr_db().value_or(0)),
                        fmt::format("{:.3g}", quality.error.worst)});
    }
    constexpr std::array<std::size_t, 3> kRight = {0, 3, 4};
    return format_table(rows, kRight);
}

std::string text_report(const runtime::Device& device, const FirstUse& kept, const FirstUse& cold,
                        const FirstUse& warm, const std::vector<Quality>& qualities) {
    std::string text = fmt::format("opforge {} on {}\n\n", build_version().version,
                                   printable(device_text(device)));
    text += fmt::format("compiled  {} for {} by {}: {} kernel{}, {}\n", kept.program, kept.target,
                        kept.toolchain, kept.kernels, kept.kernels == 1 ? "" : "s",
                        format_size(kept.size_bytes));
    text += fmt::format("entry     {}\n", kept.entry.empty()
                                              ? "in memory only: no cache folder can be written"
                                              : printable(kept.entry.string()));
    text += fmt::format("cold      {}: first use in a new process, empty cache ({})\n",
                        format_duration(cold.seconds), cold.origin);
    text += fmt::format("warm      {}: first use in another process, same cache ({})\n\n",
                        format_duration(warm.seconds), warm.origin);
    text += fmt::format("{} normal fp16 values, groups of {}, against the original:\n", kValues,
                        kGroupSize);
    return text + quality_text(qualities);
}

CommandResult demo(const Options& options, const Session& session) {
    const runtime::Device device = choose_device(options.device);
    const builder::BuilderContext context = session.builder_context();
    CommandResult result;
    const FirstUse kept = first_use(device, context);
    if (options.stage) {
        result.data = to_json(kept);
        return result;
    }
    // Below the root where there is one: the same file system, so the same times.
    ScratchFolder below_root(context.cache->root().path);
    std::optional<ScratchFolder> elsewhere;
    if (below_root.path().empty()) {
        elsewhere.emplace(std::filesystem::temp_directory_path());
    }
    const std::filesystem::path& scratch = elsewhere ? elsewhere->path() : below_root.path();
    const FirstUse cold = stage_in_new_process(device, scratch, session);
    const FirstUse warm = stage_in_new_process(device, scratch, session);
    const std::vector<Quality> qualities = measure_quality(device);

    result.text = text_report(device, kept, cold, warm, qualities);
    result.data = {{"device", to_string(device)},
                   {"program", kept.program},
                   {"target", kept.target},
                   {"toolchain", kept.toolchain},
                   {"entry", kept.entry.string()},
                   {"bytes", kept.size_bytes},
                   {"cold", {{"seconds", cold.seconds}, {"origin", cold.origin}}},
                   {"warm", {{"seconds", warm.seconds}, {"origin", warm.origin}}},
                   {"quality", quality_json(qualities, device)}};
    for (const Quality& quality : qualities) {
        if (!quality.equals_host) {
            result.code = ExitCode::check_failed;
            result.problems.push_back(
                {"CheckFailed", fmt::format("{} bits: the GPU's result differs from the host's",
                                            quality.setting.bits)});
        }
    }
    if (device.kind == runtime::Device::Kind::cuda && result.code == ExitCode::done) {
        result.text += "each equals the host's result, bit for bit\n";
    }
    return result;
}

}  // namespace

void add_demo(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("--device", options->device,
                    "cpu, cuda or cuda:N; default: a GPU if there is one")
        ->option_text("D");
    // Of the demo itself: the timed part, in a process of its own.
    verb.add_flag("--stage", options->stage)->group("");
    verb.callback([options, &session] {
        session.action = [options, &session] { return demo(*options, session); };
    });
}

}  // namespace opforge::tools
