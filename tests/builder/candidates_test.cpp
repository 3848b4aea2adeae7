#include <opforge/builder/target.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace opforge::builder;

namespace {

using Names = std::vector<std::string>;

Names names(int major, int minor, int driver, Wants wants) {
    Names found;
    for (const Target& target : candidates({major, minor, driver}, wants)) {
        found.push_back(target.name());
    }
    return found;
}

}  // namespace

TEST_CASE("a device takes its own target, lower minors of its major, then PTX down to 7.5",
          "[candidates]") {
    CHECK(names(8, 9, 13000, Wants::none) == Names{"sm_89", "sm_86", "sm_80", "compute_89",
                                                   "compute_88", "compute_87", "compute_86",
                                                   "compute_80", "compute_75"});
}

TEST_CASE("a program that wants the architecture's own target gets it first", "[candidates]") {
    const Names found = names(9, 0, 13000, Wants::architecture);
    CHECK(Names(found.begin(), found.begin() + 3) == Names{"sm_90a", "sm_90", "compute_90"});
}

TEST_CASE(
    "a program that wants the family gets the device's, then the plain target, then older families",
    "[candidates]") {
    const Names found = names(10, 3, 13000, Wants::family);
    CHECK(Names(found.begin(), found.begin() + 5) ==
          Names{"sm_103f", "sm_103", "sm_100f", "sm_100", "compute_103"});
}

TEST_CASE("a program that wants the architecture may also take a family's entry", "[candidates]") {
    const Names found = names(10, 3, 13000, Wants::architecture);
    CHECK(Names(found.begin(), found.begin() + 5) ==
          Names{"sm_103a", "sm_103", "sm_103f", "sm_100f", "sm_100"});
}

TEST_CASE("a program that wants no suffix is asked for without one", "[candidates]") {
    for (const std::string& name : names(12, 1, 13000, Wants::none)) {
        CHECK(name.back() != 'a');
        CHECK(name.back() != 'f');
    }
}

TEST_CASE("Tegra's parts share no cubin with the desktop's", "[candidates]") {
    const Names tegra = names(8, 7, 13000, Wants::none);
    CHECK(Names(tegra.begin(), tegra.begin() + 2) == Names{"sm_87", "compute_87"});
    const Names desktop = names(8, 9, 13000, Wants::none);
    CHECK(std::find(desktop.begin(), desktop.end(), "sm_87") == desktop.end());
}

TEST_CASE("a family target needs a driver that knows families", "[candidates]") {
    const Names old = names(10, 0, 12080, Wants::family);
    CHECK(old.front() == "sm_100");
    CHECK(names(10, 0, 12090, Wants::family).front() == "sm_100f");
}

TEST_CASE("a device newer than this library takes its own target and every older PTX",
          "[candidates]") {
    const Names found = names(14, 2, 15000, Wants::none);
    CHECK(Names(found.begin(), found.begin() + 3) == Names{"sm_142", "compute_142", "compute_121"});
    CHECK(found.back() == "compute_75");
}

TEST_CASE("below 7.5 there is nothing to run", "[candidates]") {
    CHECK(names(7, 0, 13000, Wants::none).empty());
    CHECK(names(7, 5, 13000, Wants::none) == Names{"sm_75", "compute_75"});
}

TEST_CASE("candidates are never twice there, never newer than the device, and real ones stay in "
          "its major",
          "[candidates]") {
    CHECK(rc::check("any device", [] {
        const DeviceFacts device{*rc::gen::inRange(5, 16), *rc::gen::inRange(0, 10),
                                 *rc::gen::inRange(1100, 1500) * 10};
        const Wants wants = *rc::gen::element(Wants::none, Wants::family, Wants::architecture);
        const auto found = candidates(device, wants);
        RC_ASSERT(std::set<Target>(found.begin(), found.end()).size() == found.size());
        for (const Target& target : found) {
            RC_ASSERT(target.major * 10 + target.minor <= device.major * 10 + device.minor);
            RC_ASSERT(target.ptx || target.major == device.major);
            RC_ASSERT(parse_target(target.name()) == target);
        }
        RC_ASSERT(std::is_sorted(found.begin(), found.end(),
                                 [](const Target& a, const Target& b) { return !a.ptx && b.ptx; }));
    }));
}

TEST_CASE("a prewarm's target loses the suffix for programs that do not want it", "[candidates]") {
    CHECK(lower(parse_target("9.0a"), Wants::none).name() == "sm_90");
    CHECK(lower(parse_target("9.0a"), Wants::architecture).name() == "sm_90a");
    CHECK(lower(parse_target("10.0f"), Wants::none).name() == "sm_100");
    CHECK(lower(parse_target("10.0f"), Wants::family).name() == "sm_100f");
    CHECK(lower(parse_target("10.0a"), Wants::family).name() == "sm_100f");
    CHECK(lower(parse_target("9.0a"), Wants::family).name() == "sm_90");
    CHECK(lower(parse_target("10.0f"), Wants::architecture).name() == "sm_100f");
    CHECK(lower(parse_target("compute_90"), Wants::architecture).name() == "compute_90");
}

TEST_CASE("what a prewarm makes is among what the device asks for", "[candidates]") {
    CHECK(rc::check("a device's own target, in any spelling", [] {
        const auto [major, minor] =
            *rc::gen::element(std::pair(8, 0), std::pair(9, 0), std::pair(10, 3), std::pair(12, 1));
        const Wants wants = *rc::gen::element(Wants::none, Wants::family, Wants::architecture);
        Target asked{major, minor,
                     *rc::gen::element(Wants::none, Wants::family, Wants::architecture), false};
        RC_PRE(asked.suffix == Wants::none || asked.major >= 10);
        const auto found = candidates({major, minor, 13000}, wants);
        RC_ASSERT(std::find(found.begin(), found.end(), lower(asked, wants)) != found.end());
    }));
}

TEST_CASE("a cubin needs a driver of its toolchain's major, PTX one of its minor", "[candidates]") {
    CHECK(minimum_driver(parse_target("sm_80"), 13, 1) == 13000);
    CHECK(minimum_driver(parse_target("compute_80"), 13, 1) == 13010);
    CHECK(minimum_driver(parse_target("sm_80"), 12, 9) == 12000);
    CHECK(minimum_driver(parse_target("compute_80"), 12, 9) == 12090);
}

TEST_CASE("an architecture newer than its toolchain's major needs the driver that brought it",
          "[candidates]") {
    CHECK(minimum_driver(parse_target("sm_100"), 12, 8) == 12080);
    CHECK(minimum_driver(parse_target("sm_100f"), 12, 9) == 12090);
    CHECK(minimum_driver(parse_target("sm_80"), 11, 8) == 12000);  // CUlibrary
}
