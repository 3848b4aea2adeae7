// A layer as it is shipped: made and sealed in one folder, moved to another, read-only, another
// user's, used by a process that may compile nothing.
#include "opforge_program.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

constexpr uid_t kOwner = 54321;
constexpr uid_t kUser = 54322;
constexpr const char* kSetpriv = "/usr/bin/setpriv";
constexpr const char* kTargets = "sm_80,sm_90";
constexpr std::size_t kPrograms = 8;  // four, for two targets

const Variables kScript = {{"SCRIPTED_PROGRAMS", "takes_1_a takes_1_b plain_c plain_d"}};

// Runs a tool as kUser: with no home, and a cache folder that it cannot make.
class OtherUser {
public:
    explicit OtherUser(std::string layers) {
        variables_ = kScript;
        variables_.emplace_back("OPFORGE_LAYERS", std::move(layers));
        variables_.emplace_back("OPFORGE_POLICY", "offline");
        variables_.emplace_back("OPFORGE_CACHE_DIR", "/proc/none");
        variables_.emplace_back("HOME", std::nullopt);
    }
    [[nodiscard]] OpforgeProgram::Answer ask(const std::string& tool,
                                             std::vector<std::string> arguments) const {
        std::vector<std::string> words = {"--reuid", std::to_string(kUser), "--clear-groups", tool};
        words.insert(words.end(), arguments.begin(), arguments.end());
        return OpforgeProgram(kSetpriv).ask(words, variables_);
    }

private:
    Variables variables_;
};

// In a folder that others may enter.
class ShippedLayer {
public:
    ShippedLayer() {
        const std::filesystem::path made = folder_.path() / "made";
        const OpforgeProgram program(SCRIPTED_TOOL);
        const auto filled =
            program.ask({"prewarm", "--arch", kTargets, "--cache-dir", made}, kScript);
        REQUIRE(filled.data().at("compiled") == kPrograms);
        digest_ = program.ask({"cache", "seal", made}).data().at("sha256").get<std::string>();
        std::filesystem::create_directory(folder_.path() / "elsewhere");
        std::filesystem::rename(made, path());
        give_to(kOwner);
        REQUIRE(::chmod(folder_.path().c_str(), 0755) == 0);
    }
    [[nodiscard]] std::filesystem::path path() const {
        return folder_.path() / "elsewhere" / "moved";
    }
    [[nodiscard]] std::string declared() const {
        return path().string() + ";shared;sha256=" + digest_;
    }

private:
    void give_to(uid_t owner) const {
        REQUIRE(::chown(path().c_str(), owner, owner) == 0);
        for (const auto& each : std::filesystem::recursive_directory_iterator(path())) {
            REQUIRE(::chown(each.path().c_str(), owner, owner) == 0);
            // Sealing has taken everybody's right to write.
            REQUIRE((std::filesystem::status(each.path()).permissions() &
                     std::filesystem::perms(0222)) == std::filesystem::perms::none);
        }
    }

    TemporaryDirectory folder_;
    std::string digest_;
};

// Says what is missing where the tests cannot be another user.
bool can_be_other_user() {
    std::string missing;
    if (::geteuid() != 0) {
        missing = "only root can give files to another user";
    } else if (::access(kSetpriv, X_OK) != 0) {
        missing = "no setpriv (util-linux) to become another user with";
    } else if (tools::run_child({kSetpriv, "--reuid", std::to_string(kUser), "--clear-groups",
                                 SCRIPTED_TOOL, "--version"})
                   .exit_code != 0) {
        missing = "another user may not run this build's programs";
    }
    if (!missing.empty()) {
        WARN("SKIPPED: " << missing);
    }
    return missing.empty();
}

TEST_CASE("a sealed layer that was moved serves another user offline, every program", "[tools]") {
    if (!can_be_other_user()) {
        return;
    }
    const ShippedLayer layer;
    const OtherUser user(layer.declared());
    const auto prewarm = user.ask(SCRIPTED_TOOL, {"prewarm", "--arch", kTargets});
    INFO(prewarm.standard_error);
    CHECK(prewarm.exit_code == 0);
    CHECK(prewarm.data().at("hits") == kPrograms);
    CHECK(prewarm.data().at("compiled") == 0);

    const auto explain =
        user.ask(SCRIPTED_TOOL, {"explain", "scripted", "--arch", kTargets, "--expect-all-hits"});
    CHECK(explain.exit_code == 0);
    REQUIRE(explain.data().at("programs").size() == kPrograms);
    for (const tools::Json& program : explain.data().at("programs")) {
        CHECK(program.at("hit") == true);
        CHECK(program.at("layers").at(0).at("layer") == layer.path().string());
        CHECK(program.at("layers").at(0).at("sealed") == true);
    }
    const auto verify = user.ask(SCRIPTED_TOOL, {"cache", "verify", layer.path(), "--shared",
                                                 "--expect-all-hits", "--arch", kTargets});
    CHECK(verify.exit_code == 0);
    CHECK(verify.data().at("expected") == kPrograms);
}

TEST_CASE("one changed header misses in a shipped layer for the programs that reach it alone",
          "[tools]") {
    if (!can_be_other_user()) {
        return;
    }
    const ShippedLayer layer;
    const OtherUser user(layer.declared());
    const auto prewarm = user.ask(CHANGED_TOOL, {"prewarm", "--arch", kTargets});
    CHECK(prewarm.exit_code == 8);
    CHECK(prewarm.data().at("hits") == kPrograms / 2);
    const auto explain = user.ask(CHANGED_TOOL, {"explain", "scripted", "--arch", kTargets});
    REQUIRE(explain.data().at("programs").size() == kPrograms);
    for (const tools::Json& program : explain.data().at("programs")) {
        const std::string name = program.at("program").get<std::string>();
        INFO(name);
        const bool reaches = name.starts_with("takes");
        CHECK(program.at("hit") == !reaches);
        REQUIRE(program.at("differs").size() == (reaches ? 1U : 0U));
        if (reaches) {
            CHECK(program.at("differs").at(0).at("field") == "header scale.cuh");
            CHECK(program.at("differs").at(0).at("text") == "header scale.cuh changed");
        }
    }
}

TEST_CASE("a layer of another user that is not declared shared serves nothing, and explain says so",
          "[tools]") {
    if (!can_be_other_user()) {
        return;
    }
    const ShippedLayer layer;
    const OtherUser user(layer.path().string());
    const auto prewarm = user.ask(SCRIPTED_TOOL, {"prewarm", "--arch", kTargets});
    CHECK(prewarm.exit_code == 8);
    CHECK(prewarm.data().at("hits") == 0);
    // What to do is in the error: the command that fills a cache, and where.
    CHECK_THAT(prewarm.standard_error, Contains("prewarm --arch sm_80 --ops scripted"));
    const auto explain = user.ask(SCRIPTED_TOOL, {"explain", "scripted", "--arch", "sm_90"});
    const tools::Json& told = explain.data().at("programs").at(0);
    CHECK(told.at("hit") == false);
    CHECK(told.at("differs").at(0).at("field") == "layer");
    CHECK_THAT(told.at("differs").at(0).at("found").get<std::string>(),
               Contains("belongs to user") && Contains("shared"));
}

}  // namespace
}  // namespace opforge::test
