#include <target_list.hpp>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace opforge::test {
namespace {

std::string names(const std::vector<builder::Target>& targets) {
    std::vector<std::string> texts;
    for (const builder::Target& target : targets) {
        texts.push_back(target.name());
    }
    return fmt::format("{}", fmt::join(texts, " "));
}

TEST_CASE("all-major is what the toolkit of that version knows", "[tools]") {
    CHECK(names(tools::all_major_targets(13, 0)) ==
          "sm_75 sm_80 sm_90 sm_100 sm_110 sm_120 compute_120");
    CHECK(names(tools::all_major_targets(12, 4)) == "sm_50 sm_60 sm_70 sm_80 sm_90 compute_90");
    CHECK(names(tools::all_major_targets(12, 9)) ==
          "sm_50 sm_60 sm_70 sm_80 sm_90 sm_100 sm_120 compute_120");
}

}  // namespace
}  // namespace opforge::test
