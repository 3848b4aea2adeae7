#include "fake_elf.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/nvrtc_discovery.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// A made-up machine: its own folders, its own environment, no loader.
struct Machine {
    test::TemporaryDirectory folder;
    std::map<std::string, std::string> variables;
    std::vector<fs::path> toolkits;
    std::vector<fs::path> sites;

    [[nodiscard]] fs::path path(const std::string& below) const { return folder.path() / below; }
    [[nodiscard]] DiscoveryEnvironment environment() const {
        DiscoveryEnvironment environment;
        environment.variable = [this](const char* name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            return found != variables.end() ? std::optional(found->second) : std::nullopt;
        };
        environment.toolkit_places = toolkits;
        environment.site_places = sites;
        environment.use_loader = false;
        return environment;
    }
    [[nodiscard]] std::vector<NvrtcCandidate> quick() const {
        return quick_candidates(environment());
    }
    [[nodiscard]] std::vector<NvrtcCandidate> all() const { return all_candidates(environment()); }
};

std::vector<fs::path> usable(const std::vector<NvrtcCandidate>& candidates) {
    std::vector<fs::path> found;
    for (const NvrtcCandidate& candidate : candidates) {
        CHECK(candidate.usable == candidate.reason.empty());
        CHECK(candidate.usable == !candidate.fingerprint.empty());
        if (candidate.usable) {
            found.push_back(candidate.library);
        }
    }
    return found;
}

using Paths = std::vector<fs::path>;

std::string hex(std::string_view text) {
    return to_hex(as_bytes(text));
}

}  // namespace

TEST_CASE("a toolkit's NVRTC is found with its version, builtins and fingerprint", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 13, 0);

    const auto found = machine.quick();

    REQUIRE(found.size() == 1);
    CHECK(found[0].library == machine.path("cuda/lib64/libnvrtc.so.13"));
    CHECK(found[0].builtins == machine.path("cuda/lib64/libnvrtc-builtins.so.13.0"));
    CHECK(found[0].major == 13);
    CHECK(found[0].minor == 0);
    CHECK(found[0].found_via == machine.path("cuda").string());
    CHECK(found[0].fingerprint == hex("lib130") + "+" + hex("built130"));
    CHECK(found[0].usable);
}

TEST_CASE("every layout of a toolkit is looked at", "[discovery]") {
    for (const std::string layout : {"lib64", "lib", "targets/x86_64-linux/lib", ""}) {
#if defined(__aarch64__)
        if (layout.starts_with("targets")) {
            continue;
        }
#endif
        Machine machine;
        machine.toolkits = {machine.path("cuda")};
        test::plant_nvrtc(machine.path("cuda") / layout, 12, 4);
        CHECK(usable(machine.quick()) == Paths{machine.path("cuda") / layout / "libnvrtc.so.12"});
    }
}

TEST_CASE("OPFORGE_NVRTC_LIBRARY is tried alone", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 13, 0);
    test::plant_nvrtc(machine.path("mine"), 12, 8);
    machine.variables["CUDA_PATH"] = machine.path("cuda");
    machine.variables["OPFORGE_NVRTC_LIBRARY"] = machine.path("mine/libnvrtc.so.12");

    CHECK(usable(machine.quick()) == Paths{machine.path("mine/libnvrtc.so.12")});
    CHECK(machine.all().size() == 1);
}

TEST_CASE("OPFORGE_NVRTC_LIBRARY that names no file leaves nothing, and says so", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 13, 0);
    machine.variables["OPFORGE_NVRTC_LIBRARY"] = machine.path("missing.so");

    const auto found = machine.all();

    REQUIRE(found.size() == 1);
    CHECK_FALSE(found[0].usable);
    CHECK(found[0].found_via == "OPFORGE_NVRTC_LIBRARY");
    CHECK(found[0].reason == "there is no such file");
    const auto compiler = nvrtc_compiler(machine.environment());
    CHECK_FALSE(compiler->toolchain());
    CHECK_THROWS_MATCHES(
        compiler->require(parse_target("90"), 0), ToolchainNotFound,
        Catch::Matchers::Predicate<ToolchainNotFound>([&](const ToolchainNotFound& error) {
            const std::string text = error.what();
            return text.find(machine.path("missing.so").string() +
                             " (OPFORGE_NVRTC_LIBRARY): there is no such file") !=
                   std::string::npos;
        }));
}

TEST_CASE("OPFORGE_NVRTC_LIBRARY may be a file of any name whose builtins tell the version",
          "[discovery]") {
    Machine machine;
    test::plant_nvrtc(machine.path("mine"), 12, 8);
    fs::rename(machine.path("mine/libnvrtc.so.12"), machine.path("mine/renamed.so"));
    machine.variables["OPFORGE_NVRTC_LIBRARY"] = machine.path("mine/renamed.so");
    const auto found = machine.quick();
    REQUIRE(usable(found).size() == 1);
    CHECK(found[0].major == 12);
    CHECK(found[0].minor == 8);
}

TEST_CASE("CUDA_PATH comes before CUDA_HOME, and that before the usual places", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("usual")};
    machine.variables = {{"CUDA_PATH", machine.path("path")}, {"CUDA_HOME", machine.path("home")}};
    test::plant_nvrtc(machine.path("usual/lib64"), 13, 0);
    test::plant_nvrtc(machine.path("home/lib64"), 12, 9);
    test::plant_nvrtc(machine.path("path/lib64"), 12, 0);

    const auto found = machine.quick();

    CHECK(usable(found) == Paths{machine.path("path/lib64/libnvrtc.so.12"),
                                 machine.path("home/lib64/libnvrtc.so.12"),
                                 machine.path("usual/lib64/libnvrtc.so.13")});
    CHECK(found[0].found_via == "CUDA_PATH");
    CHECK(found[1].found_via == "CUDA_HOME");
}

TEST_CASE(
    "toolkits whose folders bear versions are taken newest first, where they stand in the list",
    "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda"), machine.path("local/cuda-*"), machine.path("opt")};
    test::plant_nvrtc(machine.path("local/cuda-12.9/lib64"), 12, 9);
    test::plant_nvrtc(machine.path("local/cuda-13.0/lib64"), 13, 0);
    test::plant_nvrtc(machine.path("local/cuda-11.8/lib64"), 11, 8);
    test::plant_nvrtc(machine.path("opt/lib64"), 13, 1);

    CHECK(usable(machine.quick()) == Paths{machine.path("local/cuda-13.0/lib64/libnvrtc.so.13"),
                                           machine.path("local/cuda-12.9/lib64/libnvrtc.so.12"),
                                           machine.path("opt/lib64/libnvrtc.so.13")});
}

TEST_CASE("one folder's several NVRTC are taken newest first", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("lib")};
    test::plant_nvrtc(machine.path("lib"), 12, 6);
    test::plant_nvrtc(machine.path("lib"), 13, 1);
    CHECK(usable(machine.quick()) ==
          Paths{machine.path("lib/libnvrtc.so.13"), machine.path("lib/libnvrtc.so.12")});
}

TEST_CASE("one library under several names is one candidate", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda"), machine.path("cuda-13.0")};
    test::plant_nvrtc(machine.path("cuda-13.0/lib"), 13, 0);
    fs::create_symlink("lib", machine.path("cuda-13.0/lib64"));
    fs::create_symlink("libnvrtc.so.13", machine.path("cuda-13.0/lib/libnvrtc.so"));
    fs::create_symlink("cuda-13.0", machine.path("cuda"));
    CHECK(machine.quick().size() == 1);
}

TEST_CASE("a library without its builtins is refused by name", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda"), machine.path("other")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 13, 0);
    test::plant_nvrtc(machine.path("other/lib64"), 12, 9);
    fs::remove(machine.path("cuda/lib64/libnvrtc-builtins.so.13.0"));

    const auto found = machine.quick();

    REQUIRE(found.size() == 2);
    CHECK(found[0].reason == "has no libnvrtc-builtins.so.13.* beside it");
    CHECK(usable(found) == Paths{machine.path("other/lib64/libnvrtc.so.12")});
}

TEST_CASE("the builtins must be of the version that the library's name tells", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("lib")};
    test::plant_nvrtc(machine.path("lib"), 12, 4);
    fs::rename(machine.path("lib/libnvrtc.so.12"), machine.path("lib/libnvrtc.so.12.4.127"));
    fs::create_symlink("libnvrtc.so.12.4.127", machine.path("lib/libnvrtc.so.12"));
    test::write_file(machine.path("lib/libnvrtc-builtins.so.12.9"), test::fake_library("newer129"));

    const auto found = machine.quick();
    REQUIRE(usable(found).size() == 1);
    CHECK(found[0].minor == 4);

    fs::remove(machine.path("lib/libnvrtc-builtins.so.12.4"));
    CHECK(machine.quick().at(0).reason == "has no libnvrtc-builtins.so.12.4 beside it");
}

TEST_CASE("builtins beside the real file serve a link in another folder", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("links")};
    test::plant_nvrtc(machine.path("real"), 13, 0);
    fs::create_directories(machine.path("links"));
    fs::create_symlink(machine.path("real/libnvrtc.so.13"), machine.path("links/libnvrtc.so.13"));
    const auto found = machine.quick();
    REQUIRE(usable(found).size() == 1);
    CHECK(fs::equivalent(found[0].builtins, machine.path("real/libnvrtc-builtins.so.13.0")));
}

TEST_CASE("a library of unknown version is a candidate with a reason", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("lib")};
    fs::create_directories(machine.path("lib"));
    test::write_file(machine.path("lib/libnvrtc.so"), test::fake_library("unknown1"));
    const auto found = machine.quick();
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0].reason, Contains("version is unknown"));
}

TEST_CASE("an NVRTC before CUDA 12 is refused by its version", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("lib")};
    fs::create_directories(machine.path("lib"));
    test::write_file(machine.path("lib/libnvrtc.so.11.8.89"), test::fake_library("eleven118"));
    fs::create_symlink("libnvrtc.so.11.8.89", machine.path("lib/libnvrtc.so"));
    CHECK_THAT(machine.quick().at(0).reason, Contains("is of CUDA 11"));
}

TEST_CASE("a file that is no shared library is refused, and so are such builtins", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("lib")};
    test::plant_nvrtc(machine.path("lib"), 13, 0);
    test::write_file(machine.path("lib/libnvrtc-builtins.so.13.0"), "GROUP ( elsewhere )");
    CHECK_THAT(machine.quick().at(0).reason,
               Contains("builtins") && Contains("is not a shared library"));
    test::write_file(machine.path("lib/libnvrtc.so.13"), "GROUP ( elsewhere )");
    CHECK_THAT(machine.quick().at(0).reason, Contains("is not a shared library"));
}

TEST_CASE("a place that holds none is named with that reason", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("nowhere")};
    const auto found = machine.quick();
    REQUIRE(found.size() == 1);
    CHECK(found[0].library == machine.path("nowhere"));
    CHECK(found[0].reason == "holds no libnvrtc.so");
}

TEST_CASE("relative places are never looked into", "[discovery]") {
    Machine machine;
    test::plant_nvrtc(machine.path("lib64"), 13, 0);
    test::plant_nvrtc(machine.path("lib/python3.12/site-packages/nvidia/cu13/lib"), 13, 0);
    const fs::path before = fs::current_path();
    fs::current_path(machine.folder.path());
    std::vector<NvrtcCandidate> found;
    SECTION("CUDA_PATH") {
        machine.variables["CUDA_PATH"] = ".";
    }
    SECTION("CUDA_HOME") {
        machine.variables["CUDA_HOME"] = "./";
    }
    SECTION("VIRTUAL_ENV") {
        machine.variables["VIRTUAL_ENV"] = ".";
    }
    SECTION("CONDA_PREFIX") {
        machine.variables["CONDA_PREFIX"] = ".";
    }
    SECTION("OPFORGE_NVRTC_LIBRARY") {
        machine.variables["OPFORGE_NVRTC_LIBRARY"] = "lib64/libnvrtc.so.13";
    }
    found = machine.all();
    fs::current_path(before);
    CHECK(usable(found).empty());
    REQUIRE_FALSE(found.empty());
    CHECK_THAT(found[0].reason, Contains("relative path"));
}

TEST_CASE("wheels are found on a miss only, in both layouts", "[discovery]") {
    for (const std::string package : {"cu13", "cuda_nvrtc"}) {
        Machine machine;
        const fs::path site = machine.path("venv/lib/python3.12/site-packages");
        test::plant_nvrtc(site / "nvidia" / package / "lib", 13, 0);
        machine.variables["VIRTUAL_ENV"] = machine.path("venv");
        CHECK(machine.quick().empty());
        const auto found = machine.all();
        CHECK(usable(found) == Paths{site / "nvidia" / package / "lib/libnvrtc.so.13"});
        CHECK(found[0].found_via == "wheel");
    }
}

TEST_CASE("the virtual environment comes before conda, and that before the usual sites",
          "[discovery]") {
    Machine machine;
    machine.sites = {machine.path("site")};
    machine.variables = {{"VIRTUAL_ENV", machine.path("venv")},
                         {"CONDA_PREFIX", machine.path("conda")}};
    test::plant_nvrtc(machine.path("site/nvidia/cu13/lib"), 13, 0, "s");
    test::plant_nvrtc(machine.path("conda/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib"), 12,
                      1);
    test::plant_nvrtc(machine.path("conda/lib"), 12, 2);
    test::plant_nvrtc(machine.path("venv/lib/python3.10/site-packages/nvidia/cu13/lib"), 13, 0,
                      "v");
    CHECK(usable(machine.all()) ==
          Paths{machine.path("venv/lib/python3.10/site-packages/nvidia/cu13/lib/libnvrtc.so.13"),
                machine.path("conda/lib/libnvrtc.so.12"),
                machine.path(
                    "conda/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
                machine.path("site/nvidia/cu13/lib/libnvrtc.so.13")});
}

TEST_CASE("the loader is not asked where its path leads into the current directory",
          "[discovery]") {
    for (const std::string path : {":/usr/lib", "/usr/lib:", "/a::/b", "lib", "/a:./b", "/a;b"}) {
        Machine machine;
        machine.variables["LD_LIBRARY_PATH"] = path;
        DiscoveryEnvironment environment = machine.environment();
        environment.use_loader = true;
        const auto found = all_candidates(environment);
        REQUIRE(found.size() == 1);
        CHECK_THAT(found[0].reason, Contains("LD_LIBRARY_PATH"));
        CHECK(found[0].found_via == "loader");
    }
}

TEST_CASE("two toolkits in CUDA_PATH and CUDA_HOME are worth one warning", "[discovery]") {
    Machine machine;
    test::plant_nvrtc(machine.path("one/lib64"), 13, 0);
    test::plant_nvrtc(machine.path("two/lib64"), 12, 9);
    std::vector<std::string> warnings;
    set_log_sink([&](LogLevel level, std::string_view text) {
        if (level == LogLevel::warning) {
            warnings.emplace_back(text);
        }
    });
    const auto ask = [&](const std::string& path, const std::string& home) {
        machine.variables = {{"CUDA_PATH", machine.path(path)}, {"CUDA_HOME", machine.path(home)}};
        const auto compiler = nvrtc_compiler(machine.environment());
        static_cast<void>(compiler->toolchain());
        static_cast<void>(compiler->toolchain());
    };
    ask("one", "two");
    CHECK(warnings.size() == 1);
    warnings.clear();
    fs::create_symlink("one", machine.path("alias"));
    ask("one", "alias");
    set_log_sink({});
    CHECK(warnings.empty());
}

TEST_CASE("the quick toolchain is the first usable candidate", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("bare"), machine.path("good")};
    test::plant_nvrtc(machine.path("bare/lib64"), 13, 0);
    fs::remove(machine.path("bare/lib64/libnvrtc-builtins.so.13.0"));
    test::plant_nvrtc(machine.path("good/lib64"), 12, 8);
    const auto toolchain = nvrtc_compiler(machine.environment())->toolchain();
    CHECK(toolchain == cache::Toolchain{"nvrtc", 12, 8, hex("lib128") + "+" + hex("built128")});
}

TEST_CASE("an NVRTC that finds no place lists each place and its reason", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda"), machine.path("bare")};
    machine.variables["VIRTUAL_ENV"] = machine.path("venv");
    test::plant_nvrtc(machine.path("bare/lib64"), 13, 0);
    fs::remove(machine.path("bare/lib64/libnvrtc-builtins.so.13.0"));
    const auto compiler = nvrtc_compiler(machine.environment());
    CHECK_THROWS_WITH(compiler->require(parse_target("sm_90"), 0),
                      Contains("compile for sm_90") && Contains("cuda): holds no libnvrtc.so") &&
                          Contains("has no libnvrtc-builtins.so.13.* beside it") &&
                          Contains("(wheel): holds no nvidia wheel") &&
                          Contains("nvidia-cuda-nvrtc"));
}

TEST_CASE("an NVRTC whose major is above the driver's is passed over unopened", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 13, 1);
    const auto compiler = nvrtc_compiler(machine.environment());
    CHECK_THROWS_WITH(
        compiler->require(parse_target("sm_90"), 12080),
        Contains("is of CUDA 13.1, and the driver takes cubins of majors up to 12 only"));
    CHECK_THROWS_WITH(compiler->require(parse_target("compute_90"), 13000),
                      Contains("takes PTX of versions up to 13.0 only"));
}

TEST_CASE("a library that does not open is passed over with the loader's words", "[discovery]") {
    Machine machine;
    machine.toolkits = {machine.path("cuda")};
    test::plant_nvrtc(machine.path("cuda/lib64"), 19, 8);
    CHECK_THROWS_WITH(nvrtc_compiler(machine.environment())->require(parse_target("sm_90"), 0),
                      Contains("its builtins do not open: "));
}
