// `opforge report`: everything one asks of a machine where something does not work, as ds_report
// does.
#include "session.hpp"
#include "version.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/builder/nvrtc_discovery.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/op_table.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "report", "What this machine has: driver, GPUs, NVRTC, cache, ops",
    "  opforge report                for people; also says why something is missing\n"
    "  opforge report --json         for a bug report or a health check\n"};

/// A part of the report: lines under a heading, and the same for machines.
struct Section {
    std::string text;
    Json data;
};

std::string cuda_version(int number) {
    return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

Section driver_section() {
    const driver::DriverState& state = driver::driver_state();
    if (state.api == nullptr) {
        return {fmt::format("driver   none: {}\n", state.reason),
                {{"available", false}, {"reason", state.reason}}};
    }
    return {fmt::format("driver   CUDA {} ({})\n", cuda_version(state.version), state.library),
            {{"available", true}, {"version", state.version}, {"library", state.library}}};
}

std::vector<driver::DeviceInfo> devices(std::vector<Problem>& problems) {
    std::vector<driver::DeviceInfo> result;
    const driver::DriverState& state = driver::driver_state();
    if (state.api == nullptr) {
        return result;
    }
    try {
        const int count = driver::device_count(*state.api);
        for (int ordinal = 0; ordinal < count; ++ordinal) {
            result.push_back(driver::device_info(*state.api, ordinal));
        }
    } catch (const DriverError& error) {
        problems.push_back({std::string(error.kind()), error.what()});
    }
    return result;
}

Section device_section(const std::vector<driver::DeviceInfo>& found) {
    Section section{{}, Json::array()};
    for (const driver::DeviceInfo& device : found) {
        const std::string architecture =
            fmt::format("sm_{}{}", device.capability_major, device.capability_minor);
        section.text += fmt::format(
            "cuda:{}   {}, {}, {} SMs, {} memory, {} L2, {} shared memory a block\n",
            device.ordinal, device.name, architecture, device.multiprocessors,
            format_size(device.memory_bytes),
            format_size(static_cast<std::uint64_t>(device.l2_bytes)),
            format_size(static_cast<std::uint64_t>(device.shared_bytes_per_block_optin)));
        section.data.push_back({{"ordinal", device.ordinal},
                                {"name", device.name},
                                {"uuid", device.uuid},
                                {"architecture", architecture},
                                {"multiprocessors", device.multiprocessors},
                                {"memory_bytes", device.memory_bytes},
                                {"l2_bytes", device.l2_bytes},
                                {"shared_bytes_per_block", device.shared_bytes_per_block_optin},
                                {"cooperative_launch", device.cooperative_launch},
                                {"cluster_launch", device.cluster_launch}});
    }
    if (found.empty()) {
        section.text = "devices  none\n";
    }
    return section;
}

// The first usable one is taken, as long as the driver can load what it makes.
Section nvrtc_section() {
    Section section{{}, Json::array()};
    const int driver_version = driver::driver_state().version;
    bool taken = false;
    for (const builder::NvrtcCandidate& candidate :
         builder::all_candidates(builder::DiscoveryEnvironment::of_process())) {
        const bool too_new = driver_version > 0 && candidate.major > driver_version / 1000;
        const bool takes = candidate.usable && !too_new && !taken;
        std::string verdict = "not needed: an earlier one serves";
        if (takes) {
            verdict = "taken";
        } else if (!candidate.usable) {
            verdict = "refused: " + candidate.reason;
        } else if (too_new) {
            verdict = fmt::format("refused: newer than the driver (CUDA {})",
                                  cuda_version(driver_version));
        }
        taken = taken || takes;
        const std::string version =
            candidate.major > 0 ? fmt::format("{}.{}", candidate.major, candidate.minor) : "?";
        section.text += fmt::format("NVRTC    {} {} (via {}): {}\n", version,
                                    candidate.library.string(), candidate.found_via, verdict);
        section.data.push_back({{"path", candidate.library.string()},
                                {"version", version},
                                {"found_via", candidate.found_via},
                                {"usable", candidate.usable},
                                {"taken", takes},
                                {"verdict", verdict}});
    }
    if (!taken) {
        section.text +=
            "NVRTC    none usable: kernels that are not in the cache cannot be compiled; "
            "install a CUDA toolkit or the PyPI package nvidia-cuda-nvrtc\n";
    }
    return section;
}

// Why nothing can be kept there; "" where something can, as far as can be said without writing.
std::string refusal_of(const std::filesystem::path& root) {
    std::error_code error;
    std::filesystem::path present = root;
    while (!std::filesystem::exists(present, error) && present.has_relative_path()) {
        present = present.parent_path();
    }
    if (!std::filesystem::is_directory(present, error)) {
        return present.string() + " is not a folder";
    }
    if (::euidaccess(present.c_str(), W_OK | X_OK) != 0) {
        return present.string() + ": " + std::generic_category().message(errno);
    }
    return {};
}

Section cache_section(const cache::CacheRoot& root) {
    Section section;
    section.text = root.path.empty()
                       ? std::string("cache    in memory only\n")
                       : fmt::format("cache    {} (from {})\n", root.path.string(), root.origin);
    for (const std::string& refusal : root.refusals) {
        section.text += fmt::format("         passed over: {}\n", refusal);
    }
    const std::string refusal = root.path.empty() ? std::string() : refusal_of(root.path);
    if (!refusal.empty()) {
        section.text += fmt::format("         nothing can be kept there: {}\n", refusal);
    }
    section.data = {{"root", root.path.string()},
                    {"origin", root.origin},
                    {"refusals", root.refusals},
                    {"unusable", refusal.empty() ? Json(nullptr) : Json(refusal)}};
    return section;
}

Json numbers(runtime::SmallSet<int> set) {
    Json result = Json::array();
    for (int number = 0; number < runtime::SmallSet<int>::kLimit; ++number) {
        if (set.contains(number)) {
            result.push_back(number);
        }
    }
    return result;
}

// What the op's module offers beyond kernels; a user's op has no such table.
std::span<const runtime::OpInfo> functions_of(std::string_view op) {
    return op == "quantizer" ? runtime::op_table() : std::span<const runtime::OpInfo>{};
}

/// The functions of an op's module. Each is compatible where its module is: all programs are built
/// alike.
Section function_section(std::string_view op, const std::vector<std::string>& programs,
                         const Json& compatibility) {
    std::string where;
    Json devices = Json::array();  // without the reasons, which are long and the module's
    for (const Json& verdict : compatibility) {
        where +=
            fmt::format("{}cuda:{} {}", where.empty() ? "" : ", ", verdict.at("device").get<int>(),
                        verdict.at("compatible").get<bool>() ? "compatible" : "not compatible");
        devices.push_back(
            {{"device", verdict.at("device")}, {"compatible", verdict.at("compatible")}});
    }
    Section section{{}, Json::array()};
    std::vector<std::vector<std::string>> rows;
    for (const runtime::OpInfo& function : functions_of(op)) {
        std::vector<std::string> own;
        std::copy_if(programs.begin(), programs.end(), std::back_inserter(own),
                     [&](const std::string& program) { return function.runs_program(program); });
        rows.push_back({"       ", std::string(function.name),
                        function.is_enumeration()
                            ? std::string(function.formula)
                            : fmt::format("{} program{}", own.size(), own.size() == 1 ? "" : "s"),
                        where});
        section.data.push_back({{"name", function.name},
                                {"binding", function.binding},
                                {"bits", numbers(function.bits)},
                                {"programs", std::move(own)},
                                {"devices", devices}});
    }
    section.text = format_table(rows);
    return section;
}

Section op_section(const builder::OpCatalog& catalog, const builder::BuilderContext& context,
                   const std::vector<driver::DeviceInfo>& found) {
    Section section{{}, Json::array()};
    for (const std::string& name : catalog.names()) {
        const auto builder = catalog.make(name, context);
        std::vector<std::string> programs;
        for (const builder::ProgramSpec& program : builder->programs()) {
            programs.push_back(program.name);
        }
        section.text += fmt::format("op       {}: {} programs\n", name, programs.size());
        Json compatibility = Json::array();
        for (const driver::DeviceInfo& device : found) {
            const builder::Compatibility verdict = builder->is_compatible(device.ordinal);
            section.text += fmt::format("         cuda:{} {}{}{}\n", device.ordinal,
                                        verdict ? "compatible" : "not compatible",
                                        verdict.reason.empty() ? "" : ": ", verdict.reason);
            compatibility.push_back({{"device", device.ordinal},
                                     {"compatible", verdict.compatible},
                                     {"reason", verdict.reason}});
        }
        Section functions = function_section(name, programs, compatibility);
        section.text += functions.text;
        section.data.push_back({{"name", name},
                                {"programs", std::move(programs)},
                                {"devices", std::move(compatibility)},
                                {"functions", std::move(functions.data)}});
    }
    return section;
}

Section environment_section() {
    constexpr std::array<std::string_view, 5> kNames = {
        "TORCH_CUDA_ARCH_LIST", "XDG_CACHE_HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH"};
    std::vector<std::string> found;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (name.starts_with("OPFORGE_") || name.starts_with("CUDA_") ||
            std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
            found.emplace_back(text);
        }
    }
    std::sort(found.begin(), found.end());
    Section section{{}, Json::object()};
    for (const std::string& text : found) {
        section.text += fmt::format("env      {}\n", text);
        const std::size_t equals = std::min(text.find('='), text.size() - 1);
        section.data[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return section;
}

CommandResult report(const Session& session) {
    CommandResult result;
    const BuildVersion build = build_version();
    result.text = fmt::format("opforge  {} ({}, {}, CUDA headers {})\n", build.version,
                              build.build_type, build.compiler, build.cuda_headers);
    result.data["version"] = build.version;
    const builder::BuilderContext context = session.builder_context();
    const std::vector<driver::DeviceInfo> found = devices(result.problems);
    const auto add = [&result](const char* name, Section section) {
        result.text += printable(section.text);
        result.data[name] = std::move(section.data);
    };
    add("driver", driver_section());
    add("devices", device_section(found));
    add("nvrtc", nvrtc_section());
    add("cache", cache_section(context.cache->root()));
    add("ops", op_section(*session.catalog, context, found));
    add("environment", environment_section());
    return result;
}

}  // namespace

void add_report(CLI::App& app, Session& session) {
    add_verb(app, session, kText).callback([&session] {
        session.action = [&session] { return report(session); };
    });
}

}  // namespace opforge::tools
