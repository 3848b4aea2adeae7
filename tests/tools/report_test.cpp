// The report as a doctor: what it checks, and when it fails.
#include "opforge_program.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

tools::Json check_of(const OpforgeProgram::Answer& answer, const std::string& id) {
    for (const tools::Json& check : answer.data().at("checks")) {
        if (check.at("id") == id) {
            return check;
        }
    }
    return nullptr;
}

std::string verdict(const OpforgeProgram::Answer& answer, const std::string& id) {
    const tools::Json check = check_of(answer, id);
    return check.is_null() ? "" : check.at("verdict").get<std::string>();
}

TEST_CASE("a machine without a GPU passes, and hears what that means", "[tools]") {
    const OpforgeProgram program;
    const auto report = program.ask({"report"});
    INFO(report.standard_error);
    if (!std::filesystem::exists("/dev/nvidiactl")) {
        CHECK(report.exit_code == 0);
        CHECK(verdict(report, "driver") == "note");
        CHECK_THAT(check_of(report, "driver").at("remedy").get<std::string>(), Contains("prewarm"));
    }
    CHECK(verdict(report, "cache.writable") == "ok");
    CHECK_THAT(program.run({"report"}).standard_output,
               Contains("check    ok      cache.writable"));
}

TEST_CASE("a device that cannot be served fails, with what to do", "[tools]") {
    const OpforgeProgram program;
    const auto report =
        program.ask({"report"}, {{"OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA},
                                 {"OPFORGE_NVRTC_LIBRARY", "/nowhere/libnvrtc.so"}});
    CHECK(report.exit_code == 1);
    CHECK(report.error_kind() == "CheckFailed");
    CHECK(verdict(report, "nvrtc") == "failed");
    CHECK(verdict(report, "op.quantizer.cuda:0") == "failed");
    CHECK_THAT(report.standard_error, Contains("nvrtc: OPFORGE_NVRTC_LIBRARY names none"));
}

TEST_CASE("a cache folder that is not ours, open to others, or cannot be written fails",
          "[tools]") {
    const OpforgeProgram program;
    const std::string folder = program.folder() / "cache";
    std::filesystem::create_directory(folder);
    CHECK(verdict(program.ask({"report", "--cache-dir", folder}), "cache.owner") == "ok");
    REQUIRE(::chmod(folder.c_str(), 0777) == 0);
    const auto open = program.ask({"report", "--cache-dir", folder});
    CHECK(open.exit_code == 1);
    CHECK(verdict(open, "cache.owner") == "failed");
    CHECK_THAT(check_of(open, "cache.owner").at("remedy").get<std::string>(),
               Contains("chmod go-w"));
    write_file(program.folder() / "file", "text");
    const auto file = program.ask({"report", "--cache-dir", (program.folder() / "file").string()});
    CHECK(file.exit_code == 1);
    CHECK(verdict(file, "cache.writable") == "failed");
}

TEST_CASE("the cache's file system, owner and free space are told", "[tools]") {
    const OpforgeProgram program;
    const auto report = program.ask({"report"});
    const tools::Json& cache = report.data().at("cache");
    CHECK(cache.at("exists") == false);
    CHECK_FALSE(cache.at("file_system").get<std::string>().empty());
    CHECK(cache.at("owner").is_number());
    CHECK(cache.at("free_bytes").get<std::uint64_t>() > 0);
}

TEST_CASE("each layer is told with its file system, owner and room, and is a check", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const Variables script = {{"SCRIPTED_PROGRAMS", "takes_1_a"}};
    const std::string layer = program.folder() / "layer";
    REQUIRE(program.run({"prewarm", "--arch", "sm_90", "--cache-dir", layer}, script).exit_code ==
            0);
    REQUIRE(program.run({"cache", "seal", layer}).exit_code == 0);
    const auto good = program.ask({"report"}, {{"OPFORGE_LAYERS", layer}});
    CHECK(verdict(good, "cache.layer.0") == "ok");
    REQUIRE(good.data().at("cache").at("layers").size() == 1);
    const tools::Json& told = good.data().at("cache").at("layers").at(0);
    CHECK(told.at("path") == layer);
    CHECK(told.at("sealed") == true);
    CHECK(told.at("usable") == true);
    CHECK(told.at("entries") == 1);
    CHECK_FALSE(told.at("file_system").get<std::string>().empty());
    CHECK(told.at("owner").is_number());
    CHECK(told.at("free_bytes").is_number());
    CHECK_THAT(program.run({"report"}, {{"OPFORGE_LAYERS", layer}}).standard_output,
               Contains("layer    " + layer + ": 1 entries, sealed"));

    const auto bad = program.ask(
        {"report"}, {{"OPFORGE_LAYERS", (program.folder() / "missing").string() + ":" + layer}});
    CHECK(bad.exit_code == 1);
    CHECK(verdict(bad, "cache.layer.0") == "failed");
    CHECK(verdict(bad, "cache.layer.1") == "ok");
    CHECK(bad.data().at("cache").at("layers").at(0).at("usable") == false);

    for (const auto& each : std::filesystem::recursive_directory_iterator(layer)) {
        std::filesystem::permissions(each.path(), std::filesystem::perms::owner_write,
                                     std::filesystem::perm_options::add);
        if (each.path().filename() == "manifest.json") {
            write_file(each.path(), "{}");
        }
    }
    const auto broken = program.ask({"report"}, {{"OPFORGE_LAYERS", layer}});
    CHECK(verdict(broken, "cache.layer.0") == "failed");
    CHECK_THAT(check_of(broken, "cache.layer.0").at("remedy").get<std::string>(),
               Contains("cache verify"));
}

TEST_CASE("variables that change behaviour are checks", "[tools]") {
    const OpforgeProgram program;
    const auto report = program.ask({"report"}, {{"CUDA_FORCE_PTX_JIT", "1"},
                                                 {"CUDA_CACHE_DISABLE", "1"},
                                                 {"CUDA_DISABLE_PTX_JIT", "0"},
                                                 {"OPFORGE_CASH_DIR", "/x"}});
    CHECK(verdict(report, "environment.CUDA_FORCE_PTX_JIT") == "warning");
    CHECK(verdict(report, "environment.CUDA_CACHE_DISABLE") == "note");
    CHECK(verdict(report, "environment.CUDA_DISABLE_PTX_JIT").empty());
    CHECK(verdict(report, "environment.OPFORGE_CASH_DIR") == "warning");
    for (const auto& [name, value] :
         {std::pair("OPFORGE_POLICY", "lax"), std::pair("OPFORGE_JOBS", "many"),
          std::pair("OPFORGE_ARCH", "sm_x")}) {
        const auto bad = program.ask({"report"}, {{name, std::string(value)}});
        INFO(name << bad.standard_error);
        CHECK(bad.exit_code == 1);
        CHECK(verdict(bad, std::string("environment.") + name) == "failed");
    }
}

TEST_CASE("verdicts are coloured where that is asked for, and nowhere else", "[tools]") {
    const OpforgeProgram program;
    CHECK_THAT(program.run({"report", "--color", "always"}).standard_output,
               Contains("\x1b[32mok"));
    CHECK_THAT(program.run({"report"}, {{"CLICOLOR_FORCE", "1"}, {"NO_COLOR", std::nullopt}})
                   .standard_output,
               Contains("\x1b[32mok"));
    CHECK_THAT(
        program.run({"report"}, {{"CLICOLOR_FORCE", "1"}, {"NO_COLOR", "1"}}).standard_output,
        !Contains("\x1b["));
    CHECK_THAT(program.run({"report"}).standard_output, !Contains("\x1b["));
    CHECK(program.run({"report", "--color", "blue"}).exit_code == 2);
}

}  // namespace
}  // namespace opforge::test
