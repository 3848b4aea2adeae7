#include <exit_code.hpp>
#include <file_errors.hpp>

#include <opforge/builder/errors.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/errors.hpp>

#include <catch2/catch.hpp>

#include <vector>

namespace opforge::test {
namespace {

using tools::ExitCode;

ExitCode code_of(const Error& error) {
    return tools::exit_code_of(error.kind());
}

TEST_CASE("each typed error has the exit code of the table", "[tools]") {
    CHECK(code_of(InvalidArgument("x")) == ExitCode::usage);
    CHECK(code_of(tools::InputError("x", "y")) == ExitCode::bad_input);
    CHECK(code_of(UnsupportedDtype("x")) == ExitCode::bad_input);
    CHECK(code_of(ToolchainNotFound("x")) == ExitCode::no_toolchain);
    CHECK(code_of(CacheError("x", "y", {})) == ExitCode::disk_refused);
    CHECK(code_of(tools::OutputError("x", "y")) == ExitCode::disk_refused);
    CHECK(code_of(OfflineMiss("x")) == ExitCode::offline_miss);
    CHECK(code_of(NoDevice("x")) == ExitCode::no_device);
    CHECK(code_of(DriverError("x")) == ExitCode::defect);
    CHECK(code_of(Error("x")) == ExitCode::defect);
}

TEST_CASE("of failed items the most telling one decides, whatever else hit or failed", "[tools]") {
    const auto items = [](const std::vector<std::string>& kinds) {
        return tools::exit_code_of_items(kinds);
    };
    CHECK(items({}) == ExitCode::done);
    CHECK(items({"CompileError"}) == ExitCode::some_failed);
    CHECK(items({"CompileError", "CacheError"}) == ExitCode::disk_refused);
    CHECK(items({"CacheError", "ToolchainNotFound"}) == ExitCode::no_toolchain);
    CHECK(items({"ToolchainNotFound", "OfflineMiss"}) == ExitCode::offline_miss);
}

}  // namespace
}  // namespace opforge::test
