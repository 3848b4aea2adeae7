// A program of a user's that links opforge::tool has the same verbs for the user's ops.
#include "opforge_program.hpp"

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("a user's tool has its own name in help, examples and complaints", "[tools]") {
    const OpforgeProgram program(OWN_TOOL);
    const auto help = program.run({"prewarm", "--help"});
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.standard_output, Contains("  own_tool prewarm --arch") &&
                                         Contains("Usage: own_tool prewarm") &&
                                         !Contains("  opforge "));
    CHECK_THAT(program.run({"prewrm"}).standard_error, Contains("Try \"own_tool --help\""));
}

TEST_CASE("a user's tool knows the ops registered, and says so of others", "[tools]") {
    const OpforgeProgram program(OWN_TOOL);
    const auto unknown = program.run({"prewarm", "--arch", "sm_90", "--ops", "scaler"});
    CHECK(unknown.exit_code == 2);
    CHECK_THAT(unknown.standard_error, Contains("there are: quantizer, scale"));
    const auto report = program.ask({"report"});
    REQUIRE(report.data().at("ops").size() == 2);
    CHECK(report.data().at("ops").at(1).at("name") == "scale");
    CHECK(report.data().at("ops").at(1).at("programs") == tools::Json{"double", "triple"});
}

TEST_CASE("a user's tool prewarms the user's op", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program(OWN_TOOL);
    const auto cold = program.ask({"prewarm", "--arch", "sm_80,sm_90", "--ops", "scale"});
    INFO(cold.standard_error);
    CHECK(cold.exit_code == 0);
    CHECK(cold.data().at("compiled") == 4);
    CHECK(program.ask({"prewarm", "--arch", "sm_90", "--ops", "scale"}).data().at("hits") == 2);
}

}  // namespace
}  // namespace opforge::test
