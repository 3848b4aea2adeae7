#include "kernel_limits.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace opforge::bench {
namespace {

using nlohmann::json;

constexpr std::int64_t kKi = std::int64_t{1} << 10U;
constexpr std::int64_t kMi = std::int64_t{1} << 20U;
constexpr double kAtCopySpeed = 0.95;

struct Limit {
    std::string name;
    double limit = 0;
    bool at_least = true;
    const char* section = "cells";
    const char* figure = "share_of_copy";  // of the entry, or of its part
    const char* part = nullptr;            // of the entry: a peer
    std::function<bool(const json&)> covers;
};

std::int64_t integer(const json& entry, const char* field) {
    return entry.value(field, std::int64_t{0});
}
bool is_op(const json& entry, const char* op) {
    return entry.value("op", "") == op;
}
std::int64_t value_bytes(const json& entry) {
    return entry.value("dtype", "") == "fp32" ? 4 : 2;
}
/// Of the tensor, where a tensor is one group of that many mebibytes.
bool is_whole_tensor(const json& entry, std::int64_t mebibytes) {
    return is_op(entry, "ds_quantizer") &&
           integer(entry, "group_size") == integer(entry, "elements") &&
           integer(entry, "elements") * value_bytes(entry) == mebibytes * kMi;
}

std::vector<Limit> all_limits() {
    std::vector<Limit> limits;
    limits.push_back({.name = "ds_quantizer, groups of 16 to 128 Ki, tensors of 16 and 64 Mi",
                      .limit = kAtCopySpeed,
                      .covers = [](const json& entry) {
                          const std::int64_t elements = integer(entry, "elements");
                          const std::int64_t size = integer(entry, "group_size");
                          return is_op(entry, "ds_quantizer") &&
                                 (elements == 16 * kMi || elements == 64 * kMi) && size >= 16 &&
                                 size <= 128 * kKi;
                      }});
    constexpr std::pair<std::int64_t, double> kWhole[] = {{2, 0.70},  {8, 0.88},   {32, 0.90},
                                                          {64, 0.83}, {128, 0.70}, {256, 0.60}};
    for (const auto& [mebibytes, limit] : kWhole) {
        limits.push_back({.name = fmt::format("one group: a tensor of {} MiB", mebibytes),
                          .limit = limit,
                          .covers = [mebibytes = mebibytes](const json& entry) {
                              return is_whole_tensor(entry, mebibytes);
                          }});
    }
    limits.push_back({.name = "several groups of 2 to 32 MiB, a tensor of 128 MiB",
                      .limit = 0.80,
                      .covers = [](const json& entry) {
                          const std::int64_t group =
                              integer(entry, "group_size") * value_bytes(entry);
                          return is_op(entry, "ds_quantizer") &&
                                 integer(entry, "elements") * value_bytes(entry) == 128 * kMi &&
                                 group >= 2 * kMi && group <= 32 * kMi;
                      }});
    limits.push_back({.name = "quantize, dequantize, swizzles, LoCo, 64 Mi values",
                      .limit = kAtCopySpeed,
                      .covers = [](const json& entry) {
                          return integer(entry, "elements") == 64 * kMi &&
                                 (is_op(entry, "quantize") || is_op(entry, "dequantize") ||
                                  is_op(entry, "swizzle_quant") ||
                                  entry.value("op", "").starts_with("loco"));
                      }});
    limits.push_back({.name = "quantized_reduction, 2 to 16 devices, 4 and 8 bits, 64 Mi and more",
                      .limit = kAtCopySpeed,
                      .covers = [](const json& entry) {
                          return is_op(entry, "quantized_reduction") &&
                                 integer(entry, "elements") >= 64 * kMi;
                      }});
    const auto fast_peer = [](const json& entry) {
        return entry.at("deepspeed").value("share_of_copy", 0.0) >= kAtCopySpeed;
    };
    limits.push_back({.name = "over DeepSpeed, where it is below 0.95 of copy",
                      .limit = 1.0,
                      .section = "peers",
                      .figure = "ours_over",
                      .part = "deepspeed",
                      .covers = [=](const json& entry) { return !fast_peer(entry); }});
    limits.push_back({.name = "over DeepSpeed, where it reaches 0.95 of copy",
                      .limit = 0.95,
                      .section = "peers",
                      .figure = "ours_over",
                      .part = "deepspeed",
                      .covers = fast_peer});
    limits.push_back({.name = "over torch.compile",
                      .limit = 1.3,
                      .section = "peers",
                      .figure = "ours_over",
                      .part = "torch",
                      .covers = [](const json&) { return true; }});
    limits.push_back({.name = "us over a copy, graph replay, 4 Ki to 1 Mi, groups to 16 Ki",
                      .limit = 1.5,
                      .at_least = false,
                      .section = "replay",
                      .figure = "beyond_copy_microseconds",
                      .covers = [](const json&) { return true; }});
    return limits;
}

json held(const Limit& limit, const json& figures) {
    json result = {{"name", limit.name},
                   {"limit", limit.limit},
                   {"direction", limit.at_least ? "at least" : "at most"},
                   {"worst", nullptr},
                   {"cell", nullptr},
                   {"holds", nullptr}};
    std::int64_t cells = 0;
    std::vector<std::string> failing;
    double worst = 0;
    for (const json& entry : figures.value(limit.section, json::array())) {
        if (limit.part != nullptr && !entry.contains(limit.part)) {
            continue;
        }
        const json& measured = limit.part == nullptr ? entry : entry.at(limit.part);
        if (!measured.contains(limit.figure) || !limit.covers(entry)) {
            continue;
        }
        const auto figure = measured.at(limit.figure).get<double>();
        const std::string name = entry.value("name", entry.value("op", ""));
        if (++cells == 1 || (limit.at_least ? figure < worst : figure > worst)) {
            worst = figure;
            result["cell"] = name;
        }
        if (limit.at_least ? figure < limit.limit : figure > limit.limit) {
            failing.push_back(fmt::format("{}: {:.2f}", name, figure));
        }
    }
    result["cells"] = cells;
    result["failing"] = failing.size();
    if (cells > 0) {
        result["worst"] = worst;
        result["holds"] = failing.empty();
    }
    result["failing_cells"] = std::move(failing);
    return result;
}

}  // namespace

json kernel_limits(const json& figures) {
    json result = json::array();
    for (const Limit& limit : all_limits()) {
        result.push_back(held(limit, figures));
    }
    return result;
}

std::string limits_table(const json& limits) {
    std::string table = fmt::format("{:<68} {:>13} {:>7} {:>13}  {}\n", "limit", "", "worst",
                                    "cells failing", "holds");
    std::string failing;
    for (const json& limit : limits) {
        const auto name = limit.at("name").get<std::string>();
        const std::string bound = fmt::format("{} {:.2f}", limit.at("direction").get<std::string>(),
                                              limit.at("limit").get<double>());
        if (limit.at("holds").is_null()) {
            table += fmt::format("{:<68} {:>13} {:>7} {:>13}  not measured\n", name, bound, "", "");
            continue;
        }
        table += fmt::format("{:<68} {:>13} {:7.2f} {:>13}  {}\n", name, bound,
                             limit.at("worst").get<double>(),
                             fmt::format("{} of {}", limit.at("failing").get<std::int64_t>(),
                                         limit.at("cells").get<std::int64_t>()),
                             limit.at("holds").get<bool>() ? "yes" : "no");
        if (!limit.at("holds").get<bool>()) {
            failing += fmt::format("{}:\n", name);
        }
        for (const json& cell : limit.at("failing_cells")) {
            failing += fmt::format("  {}\n", cell.get<std::string>());
        }
    }
    return failing.empty() ? table : table + "\nCells that miss a limit:\n" + failing;
}

}  // namespace opforge::bench
