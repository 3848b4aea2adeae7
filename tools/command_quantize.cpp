// `opforge quantize`: what a bit width costs each tensor of a file, and, with -o, the file so
// quantized.
#include "device_argument.hpp"
#include "number_argument.hpp"
#include "progress.hpp"
#include "quantize_file.hpp"
#include "session.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/error.hpp>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <limits>
#include <memory>
#include <optional>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "quantize", "Fake-quantize the tensors of a .safetensors or .npy file, and report the error",
    "  opforge quantize model.safetensors --group-size 64 --bits 4\n"
    "      the signal-to-noise ratio and worst error of every tensor; writes nothing\n"
    "  opforge quantize model.safetensors -o q.safetensors --group-size 128 --bits 8 --asym\n"
    "      the same model with each fp16, bf16 and fp32 tensor quantized and dequantized\n"
    "  opforge quantize weights.npy -o q.npy --groups 1 --bits 6 --sr --seed 7 --device cuda:0\n"
    "      stochastic rounding on a GPU: the same bytes as on the host\n"};

struct Options {
    std::string input;
    std::optional<std::string> output;
    std::optional<std::string> groups;
    std::optional<std::string> group_size;
    std::string bits;
    bool asymmetric = false;
    bool stochastic = false;
    std::optional<std::string> seed;
    std::string device = "cpu";
    std::string threads = "0";
};

QuantizeSettings checked(const Options& options) {
    if (options.groups.has_value() == options.group_size.has_value()) {
        throw InvalidArgument("give either --groups N (groups in each tensor) or --group-size N "
                              "(elements in each group)");
    }
    if (options.seed && !options.stochastic) {
        throw InvalidArgument("--seed is for stochastic rounding: add --sr");
    }
    QuantizeSettings settings;
    settings.input = options.input;
    if (options.output) {
        settings.output = *options.output;
    }
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    if (options.groups) {
        settings.groups = parse_number<std::int64_t>("--groups", *options.groups, 1, kMost);
    } else {
        settings.group_size =
            parse_number<std::int64_t>("--group-size", *options.group_size, 1, kMost);
    }
    settings.bits = parse_number("--bits", options.bits, runtime::kMinBits, runtime::kMaxBits);
    settings.asymmetric = options.asymmetric;
    settings.stochastic = options.stochastic;
    if (options.seed) {
        settings.seed = parse_number<std::uint64_t>("--seed", *options.seed, 0,
                                                    std::numeric_limits<std::uint64_t>::max());
    }
    settings.device = parse_device(options.device);
    settings.threads =
        parse_number("--threads", options.threads, 0, std::numeric_limits<int>::max());
    return settings;
}

struct Totals {
    std::uint64_t quantized = 0;
    std::uint64_t skipped = 0;
    std::uint64_t size_bytes = 0;
    double seconds = 0;
    double copy_seconds = 0;
    QuantizationError error;
};

Totals add_up(const FileOutcome& outcome) {
    Totals totals;
    for (const TensorOutcome& tensor : outcome.tensors) {
        if (!tensor.skipped.empty()) {
            ++totals.skipped;
            continue;
        }
        ++totals.quantized;
        totals.size_bytes += tensor.tensor.size_bytes;
        totals.seconds += tensor.seconds;
        totals.copy_seconds += tensor.copy_seconds;
        totals.error.add(tensor.error);
    }
    return totals;
}

// The op reads and writes as many bytes as a copy does.
double memory_share(double seconds, double copy_seconds) {
    return seconds > 0 ? copy_seconds / seconds : 0;
}

std::string snr_text(const QuantizationError& error) {
    if (const auto snr = error.snr_db()) {
        return fmt::format("{:.2f}", *snr);
    }
    return error.noise > 0 || error.not_finite == error.elements ? "-" : "exact";
}

Json snr_json(const QuantizationError& error) {
    const auto snr = error.snr_db();
    return snr ? Json(*snr) : Json(nullptr);
}

std::string text_report(const FileOutcome& outcome, const Totals& totals,
                        const QuantizeSettings& settings) {
    std::vector<std::vector<std::string>> rows = {
        {"tensor", "dtype", "shape", "groups", "SNR dB", "worst error", "time", "memory speed"}};
    std::string skipped;
    std::string poisoned;
    for (const TensorOutcome& each : outcome.tensors) {
        const TensorEntry& tensor = each.tensor;
        if (!each.skipped.empty()) {
            skipped += fmt::format("skipped {}: {}\n", printable(tensor.name), each.skipped);
            continue;
        }
        rows.push_back(
            {tensor.name, tensor.dtype, format_shape(tensor.shape), std::to_string(each.groups),
             snr_text(each.error), fmt::format("{:.3g}", each.error.worst),
             format_duration(each.seconds),
             fmt::format("{:.0f}%", 100 * memory_share(each.seconds, each.copy_seconds))});
        if (each.error.not_finite > 0) {
            poisoned += fmt::format("not finite in {}: {} of {} elements\n", printable(tensor.name),
                                    each.error.not_finite, each.error.elements);
        }
    }
    std::string text;
    if (rows.size() > 1) {
        constexpr std::array<std::size_t, 5> kRight = {3, 4, 5, 6, 7};
        text = format_table(rows, kRight);
    }
    text += skipped + poisoned;
    text += fmt::format("total: {} quantized ({}), {} skipped", totals.quantized,
                        format_size(totals.size_bytes), totals.skipped);
    if (totals.quantized > 0) {
        text += fmt::format("; SNR {}{}, worst error {:.3g}; {} on {}, {:.0f}% of memory speed",
                            snr_text(totals.error), totals.error.snr_db() ? " dB" : "",
                            totals.error.worst, format_duration(totals.seconds),
                            to_string(settings.device),
                            100 * memory_share(totals.seconds, totals.copy_seconds));
    }
    text += "\n";
    if (settings.output) {
        text += fmt::format("wrote {}\n", printable(settings.output->string()));
    }
    return text;
}

Json json_report(const FileOutcome& outcome, const Totals& totals,
                 const QuantizeSettings& settings) {
    Json data;
    data["file"] = settings.input.string();
    data["format"] = outcome.format;
    data["output"] = settings.output ? Json(settings.output->string()) : Json(nullptr);
    data["device"] = to_string(settings.device);
    data["bits"] = settings.bits;
    data[settings.groups > 0 ? "groups" : "group_size"] =
        settings.groups > 0 ? settings.groups : settings.group_size;
    data["asymmetric"] = settings.asymmetric;
    data["stochastic"] = settings.stochastic;
    if (settings.stochastic) {
        data["seed"] = settings.seed;
    }
    data["tensors"] = Json::array();
    data["skipped"] = Json::array();
    for (const TensorOutcome& each : outcome.tensors) {
        Json tensor = {
            {"name", each.tensor.name}, {"dtype", each.tensor.dtype}, {"shape", each.tensor.shape}};
        if (!each.skipped.empty()) {
            tensor["reason"] = each.skipped;
            data["skipped"].push_back(std::move(tensor));
            continue;
        }
        tensor["groups"] = each.groups;
        tensor["snr_db"] = snr_json(each.error);
        tensor["worst_error"] = each.error.worst;
        tensor["not_finite"] = each.error.not_finite;
        tensor["seconds"] = each.seconds;
        tensor["memory_speed"] = memory_share(each.seconds, each.copy_seconds);
        if (settings.stochastic) {
            tensor["random_offset"] = each.random_offset;
        }
        data["tensors"].push_back(std::move(tensor));
    }
    data["totals"] = {{"quantized", totals.quantized},
                      {"skipped", totals.skipped},
                      {"bytes", totals.size_bytes},
                      {"snr_db", snr_json(totals.error)},
                      {"worst_error", totals.error.worst},
                      {"seconds", totals.seconds},
                      {"memory_speed", memory_share(totals.seconds, totals.copy_seconds)}};
    return data;
}

CommandResult quantize(const Options& options, const Session& session) {
    const QuantizeSettings settings = checked(options);
    if (settings.device.kind == runtime::Device::Kind::cuda) {
        runtime::configure_quantizer(session.builder_context());
    }
    std::optional<StandardErrorProgress> progress;
    const FileOutcome outcome = quantize_file(
        settings, [&](std::uint64_t done, std::uint64_t total, std::string_view tensor) {
            if (!progress) {
                progress.emplace(total);
            }
            progress->update(done, tensor);
        });
    progress.reset();
    const Totals totals = add_up(outcome);
    CommandResult result;
    result.text = text_report(outcome, totals, settings);
    result.data = json_report(outcome, totals, settings);
    return result;
}

}  // namespace

void add_quantize(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("FILE", options->input, "A .safetensors or .npy file")
        ->option_text(" ")
        ->required();
    verb.add_option("-o,--output", options->output, "Write the quantized file here")
        ->option_text("OUT")
        ->check(is_value);
    verb.add_option("--groups", options->groups, "Groups in each tensor; must divide its elements")
        ->option_text("N");
    verb.add_option("--group-size", options->group_size, "Or: elements in each group")
        ->option_text("N");
    verb.add_option("--bits", options->bits, "Width of a code, 2 to 16")
        ->option_text("B (required)")
        ->required();
    verb.add_flag("--asym", options->asymmetric, "Range from minimum to maximum, not symmetric");
    verb.add_flag("--sr", options->stochastic, "Stochastic rounding");
    verb.add_option("--seed", options->seed, "Seed of --sr; default 0")->option_text("S");
    verb.add_option("--device", options->device, "cpu (the default), cuda or cuda:N")
        ->option_text("D");
    verb.add_option("--threads", options->threads, "Host threads; default: all")->option_text("N");
    verb.callback([options, &session] {
        session.action = [options, &session] { return quantize(*options, session); };
    });
}

}  // namespace opforge::tools
