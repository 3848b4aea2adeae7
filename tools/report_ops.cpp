// The report's ops and their functions, by device.
#include "report.hpp"

#include <opforge/runtime/op_table.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <string_view>

namespace opforge::tools {
namespace {

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

}  // namespace

Section op_section(const builder::OpCatalog& catalog, const builder::BuilderContext& context,
                   const std::vector<driver::DeviceInfo>& devices) {
    Section section{{}, Json::array()};
    for (const std::string& name : catalog.names()) {
        const auto builder = catalog.make(name, context);
        std::vector<std::string> programs;
        for (const builder::ProgramSpec& program : builder->programs()) {
            programs.push_back(program.name);
        }
        section.text += fmt::format("op       {}: {} programs\n", name, programs.size());
        Json compatibility = Json::array();
        for (const driver::DeviceInfo& device : devices) {
            const builder::Compatibility verdict = builder->is_compatible(device.ordinal);
            section.text += fmt::format("         cuda:{} {}{}{}\n", device.ordinal,
                                        verdict ? "compatible" : "not compatible",
                                        verdict.reason.empty() ? "" : ": ", verdict.reason);
            section.checks.push_back(
                {fmt::format("op.{}.cuda:{}", name, device.ordinal),
                 verdict ? Verdict::ok : Verdict::failed, verdict.reason,
                 verdict ? ""
                         : "see the driver's and NVRTC's lines above; prewarm fills the cache"});
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

}  // namespace opforge::tools
