#include <opforge/base/error.hpp>
#include <opforge/builder/target.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;
using Suffix = Target::Suffix;

namespace {

std::vector<std::string> names(const std::vector<Target>& targets) {
    std::vector<std::string> found;
    for (const Target& target : targets) {
        found.push_back(target.name());
    }
    return found;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a target is read in every form that users write", "[target]") {
    CHECK(parse_target("sm_90") == Target{9, 0, Suffix::none, false});
    CHECK(parse_target("90") == Target{9, 0, Suffix::none, false});
    CHECK(parse_target("9.0") == Target{9, 0, Suffix::none, false});
    CHECK(parse_target("sm_90a") == Target{9, 0, Suffix::architecture, false});
    CHECK(parse_target("9.0a") == Target{9, 0, Suffix::architecture, false});
    CHECK(parse_target("10.0f") == Target{10, 0, Suffix::family, false});
    CHECK(parse_target("121") == Target{12, 1, Suffix::none, false});
    CHECK(parse_target("compute_90") == Target{9, 0, Suffix::none, true});
    CHECK(parse_target("compute_100f") == Target{10, 0, Suffix::family, true});
}

TEST_CASE("a malformed target is an error that names it and the forms", "[target]") {
    for (const std::string text :
         {"",       "sm_",    "sm_9", "9",    "sm_banana", "sm_9000", "9.",      ".0",  "9.00",
          "90.0.0", "090",    "0.9",  "9.0b", "9.0A",      "sm90",    "SM_90",   "-90", "+90",
          " sm_90", "sm_90 ", "80a",  "9.0f", "9.0af",     "native",  "sm_9\xff"}) {
        CAPTURE(text);
        CHECK_THROWS_MATCHES(
            parse_target(text), InvalidArgument,
            Catch::Matchers::Message("target: `" + text +
                                     "` is not an architecture; write sm_90, "
                                     "sm_90a (architecture-specific, from 9.0), sm_100f (family, "
                                     "from 10.0), compute_90 (PTX), 90, 9.0, 9.0a or 10.0f"));
    }
}

TEST_CASE("every target reads back from its name", "[target]") {
    CHECK(rc::check("names round-trip", [] {
        const Target target{*rc::gen::inRange(1, 100), *rc::gen::inRange(0, 10),
                            *rc::gen::element(Suffix::none, Suffix::family, Suffix::architecture),
                            *rc::gen::arbitrary<bool>()};
        RC_PRE(target.suffix == Suffix::none || target.major >= 10);
        RC_ASSERT(parse_target(target.name()) == target);
        RC_ASSERT(parse_targets(target.name()) == std::vector<Target>{target});
    }));
}

TEST_CASE("no text makes the parser fail in another way than its own", "[target]") {
    CHECK(rc::check("any text", [](const std::string& text) {
        try {
            RC_ASSERT(parse_target(parse_target(text).name()) == parse_target(text));
        } catch (const InvalidArgument&) {
            RC_SUCCEED("refused");
        }
    }));
}

TEST_CASE(
    "a list splits at commas, semicolons and white space, keeps its order and merges duplicates",
    "[target]") {
    CHECK(names(parse_targets("8.0;9.0a , sm_80\t10.0\n,,90a;")) ==
          Names{"sm_80", "sm_90a", "sm_100"});
}

TEST_CASE("+PTX adds the virtual target behind the real one", "[target]") {
    CHECK(names(parse_targets("8.6+PTX sm_90+PTX")) ==
          Names{"sm_86", "compute_86", "sm_90", "compute_90"});
    CHECK(names(parse_targets("9.0a+PTX")) == Names{"sm_90a", "compute_90a"});
}

TEST_CASE("the names of torch stand for torch's architectures", "[target]") {
    CHECK(names(parse_targets("Volta")) == Names{"sm_70", "compute_70"});
    CHECK(names(parse_targets("Turing;Ampere")) ==
          Names{"sm_75", "compute_75", "sm_80", "sm_86", "compute_86"});
    CHECK(names(parse_targets("Hopper")) == Names{"sm_90", "compute_90"});
    CHECK(names(parse_targets("Blackwell")) ==
          Names{"sm_100", "sm_103", "sm_120", "sm_121", "compute_121"});
    CHECK(names(parse_targets("Blackwell+Tegra Ampere+Tegra")) == Names{"sm_110", "sm_87"});
}

TEST_CASE("native and all-major stand for what the caller found", "[target]") {
    const TargetListContext context{{parse_target("sm_90")},
                                    {parse_target("sm_80"), parse_target("sm_90")}};
    CHECK(names(parse_targets("native", context)) == Names{"sm_90"});
    CHECK(names(parse_targets("native,all-major", context)) == Names{"sm_90", "sm_80"});
}

TEST_CASE("native and all-major without anything behind them are errors that say so", "[target]") {
    CHECK_THROWS_WITH(parse_targets("sm_80,native"),
                      Contains("`native`") && Contains("no CUDA device was found"));
    CHECK_THROWS_WITH(parse_targets("all-major"),
                      Contains("`all-major`") && Contains("no NVRTC was found"));
}

TEST_CASE("a bad entry of a list is an error that names it and the list's forms", "[target]") {
    CHECK_THROWS_AS(parse_targets("sm_80,banana"), InvalidArgument);
    CHECK_THROWS_WITH(parse_targets("sm_80,banana"), Contains("`banana`") && Contains("8.6+PTX") &&
                                                         Contains("native") && Contains("Hopper"));
    CHECK_THROWS_WITH(parse_targets("compute_90+PTX"), Contains("`compute_90+PTX`"));
    CHECK_THROWS_WITH(parse_targets("9.0+ptx"), Contains("`9.0+ptx`"));
    CHECK_THROWS_WITH(parse_targets("Hoppper"), Contains("`Hoppper`"));
}

TEST_CASE("a list that names nothing is an error", "[target]") {
    CHECK_THROWS_AS(parse_targets(""), InvalidArgument);
    CHECK_THROWS_WITH(parse_targets(" ;,"), Contains("names no architecture"));
}
