#include "kernel_limits.hpp"

#include <catch2/catch.hpp>

#include <string>

using nlohmann::json;
using opforge::bench::kernel_limits;
using opforge::bench::limits_table;

namespace {

constexpr int kMi = 1 << 20;

json cell(int group_size, int elements, double share) {
    return {{"name", "cell of " + std::to_string(group_size)},
            {"op", "ds_quantizer"},
            {"dtype", "fp16"},
            {"group_size", group_size},
            {"elements", elements},
            {"share_of_copy", share}};
}

json limit_named(const json& limits, const std::string& start) {
    for (const json& limit : limits) {
        if (limit.at("name").get<std::string>().starts_with(start)) {
            return limit;
        }
    }
    FAIL("no limit begins with " << start);
    return {};
}

}  // namespace

TEST_CASE("a limit names its worst cell and those that miss it", "[bench]") {
    const json figures{
        {"cells",
         {cell(64, 64 * kMi, 0.99), cell(128, 64 * kMi, 0.80), cell(256, 16 * kMi, 0.90)}}};

    const json limit = limit_named(kernel_limits(figures), "ds_quantizer, groups of 16");

    CHECK(limit.at("cells") == 3);
    CHECK(limit.at("failing") == 2);
    CHECK(limit.at("worst") == 0.80);
    CHECK(limit.at("cell") == "cell of 128");
    CHECK(limit.at("holds") == false);
    CHECK(limits_table(json::array({limit})).find("cell of 256: 0.90") != std::string::npos);
}

TEST_CASE("a limit covers the cells that it is about and no others", "[bench]") {
    const json figures{{"cells",
                        {cell(64, 64 * kMi, 0.95),        // at the limit
                         cell(kMi, 64 * kMi, 0.81),       // one of several groups of 2 MiB
                         cell(64 * kMi, 64 * kMi, 0.72),  // one group of 128 MiB
                         cell(64, kMi, 0.10)}}};          // a small tensor

    const json limits = kernel_limits(figures);

    CHECK(limit_named(limits, "ds_quantizer, groups of 16").at("worst") == 0.95);
    CHECK(limit_named(limits, "ds_quantizer, groups of 16").at("holds") == true);
    CHECK(limit_named(limits, "several groups").at("worst") == 0.81);
    CHECK(limit_named(limits, "one group: a tensor of 128 MiB").at("worst") == 0.72);
    CHECK(limit_named(limits, "one group: a tensor of 2 MiB").at("holds").is_null());
}

TEST_CASE("a peer at copy speed is held to another limit than a slower one", "[bench]") {
    json slow = cell(64, 64 * kMi, 0.9);
    slow["deepspeed"] = {{"share_of_copy", 0.93}, {"ours_over", 0.97}};
    json fast = cell(128, 64 * kMi, 0.96);
    fast["deepspeed"] = {{"share_of_copy", 0.99}, {"ours_over", 0.97}};
    json without = cell(256, 64 * kMi, 0.96);
    without["deepspeed"] = {{"note", "does nothing, silently"}};
    const json figures{{"peers", {slow, fast, without}}};

    const json limits = kernel_limits(figures);

    CHECK(limit_named(limits, "over DeepSpeed, where it is below").at("holds") == false);
    CHECK(limit_named(limits, "over DeepSpeed, where it is below").at("cells") == 1);
    CHECK(limit_named(limits, "over DeepSpeed, where it reaches").at("holds") == true);
    CHECK(limit_named(limits, "over torch.compile").at("cells") == 0);
}

TEST_CASE("what a replay takes beyond a copy is held from above", "[bench]") {
    json entry = cell(128, 4096, 0);
    entry["beyond_copy_microseconds"] = 1.6;
    json faster = entry;
    faster["beyond_copy_microseconds"] = -0.1;

    const json limit =
        limit_named(kernel_limits(json{{"replay", {faster, entry}}}), "us over a copy, graph");

    CHECK(limit.at("worst") == 1.6);
    CHECK(limit.at("failing") == 1);
}
