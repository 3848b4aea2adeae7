#include <opforge/base/error.hpp>
#include <opforge/cache/cache_root.hpp>

#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <string>

using namespace opforge;
using namespace opforge::cache;

namespace {

constexpr unsigned kStranger = 54321;

// A machine of the test's own: variables, a home, a place for temporary files.
class Machine {
public:
    Machine() {
        std::filesystem::create_directory(home());
        std::filesystem::create_directory(var_tmp());
        std::filesystem::permissions(var_tmp(), std::filesystem::perms(01777));
    }
    [[nodiscard]] std::filesystem::path home() const { return directory_.path() / "home"; }
    [[nodiscard]] std::filesystem::path var_tmp() const { return directory_.path() / "var_tmp"; }
    [[nodiscard]] std::filesystem::path shared_place() const {
        return var_tmp() / ("opforge-" + std::to_string(::geteuid()));
    }
    CacheRoot select(const std::optional<std::filesystem::path>& argument = std::nullopt) const {
        RootEnvironment environment;
        environment.variable = [this](const char* name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional(found->second);
        };
        environment.effective_user = ::geteuid();
        environment.var_tmp = var_tmp();
        return select_root(argument, environment);
    }
    std::map<std::string, std::string> variables;

private:
    test::TemporaryDirectory directory_;
};

bool mentions(const CacheRoot& root, const std::string& text) {
    for (const std::string& refusal : root.refusals) {
        if (refusal.find(text) != std::string::npos) {
            return true;
        }
    }
    return false;
}

}  // namespace

TEST_CASE("each place for the cache wins over those after it", "[cache_root]") {
    Machine machine;
    CHECK(machine.select().origin == "/var/tmp");
    CHECK(machine.select().path == machine.shared_place());

    machine.variables["HOME"] = machine.home().string();
    CHECK(machine.select().origin == "HOME");
    CHECK(machine.select().path == machine.home() / ".cache" / "opforge");

    machine.variables["XDG_CACHE_HOME"] = "/somewhere/cache";
    CHECK(machine.select().origin == "XDG_CACHE_HOME");
    CHECK(machine.select().path == "/somewhere/cache/opforge");

    machine.variables["OPFORGE_CACHE_DIR"] = "/elsewhere";
    CHECK(machine.select().origin == "OPFORGE_CACHE_DIR");
    CHECK(machine.select().path == "/elsewhere");

    CHECK(machine.select("/argument").origin == "argument");
    CHECK(machine.select("/argument").path == "/argument");
}

TEST_CASE("choosing a root creates nothing", "[cache_root]") {
    Machine machine;
    machine.variables["HOME"] = machine.home().string();
    static_cast<void>(machine.select());
    CHECK(std::filesystem::is_empty(machine.home()));
    machine.variables.clear();
    static_cast<void>(machine.select());
    CHECK(std::filesystem::is_empty(machine.var_tmp()));
}

TEST_CASE("a relative root that the user meant is an error that says so", "[cache_root]") {
    Machine machine;
    CHECK_THROWS_AS(machine.select("cache"), InvalidArgument);
    CHECK_THROWS_AS(machine.select(""), InvalidArgument);
    machine.variables["OPFORGE_CACHE_DIR"] = "./cache";
    CHECK_THROWS_WITH(machine.select(), Catch::Contains("./cache") &&
                                            Catch::Contains("OPFORGE_CACHE_DIR") &&
                                            Catch::Contains("not an absolute path"));
}

TEST_CASE("a relative XDG_CACHE_HOME or HOME is passed over with its reason", "[cache_root]") {
    Machine machine;
    machine.variables["XDG_CACHE_HOME"] = "cache";
    machine.variables["HOME"] = "home";
    const CacheRoot root = machine.select();
    CHECK(root.origin == "/var/tmp");
    CHECK(mentions(root, "XDG_CACHE_HOME 'cache'"));
    CHECK(mentions(root, "HOME 'home'"));
}

TEST_CASE("HOME is passed over where it is /, missing, a file, or another user's", "[cache_root]") {
    Machine machine;
    std::string home;
    std::string reason;
    SECTION("/") {
        home = "/";
        reason = "HOME is /";
    }
    SECTION("/ in disguise") {
        home = "//";
        reason = "HOME is /";
    }
    SECTION("missing") {
        home = (machine.home() / "missing").string();
        reason = "No such file";
    }
    SECTION("a file") {
        home = (machine.home() / "file").string();
        test::write_file(home, "");
        reason = "not a directory";
    }
    SECTION("another user's") {
        if (::geteuid() != 0 || ::chown(machine.home().c_str(), kStranger, kStranger) != 0) {
            std::cout << "SKIPPED: only root can give a directory to another user\n";
            return;
        }
        home = machine.home().string();
        reason = "belongs to user 54321";
    }
    machine.variables["HOME"] = home;
    const CacheRoot root = machine.select();
    CHECK(root.origin == "/var/tmp");
    CHECK(mentions(root, reason));
}

TEST_CASE("an unset HOME is named among the places passed over", "[cache_root]") {
    CHECK(mentions(Machine().select(), "HOME is not set"));
}

TEST_CASE("an own private directory in the shared place is taken", "[cache_root]") {
    const Machine machine;
    std::filesystem::create_directory(machine.shared_place());
    std::filesystem::permissions(machine.shared_place(), std::filesystem::perms(0700));
    CHECK(machine.select().path == machine.shared_place());
}

TEST_CASE("a shared place that others made, linked or could write leaves memory only",
          "[cache_root]") {
    const Machine machine;
    const std::filesystem::path place = machine.shared_place();
    std::string reason;
    SECTION("a link") {
        std::filesystem::create_directory_symlink(machine.home(), place);
        reason = "not a directory";
    }
    SECTION("a file") {
        test::write_file(place, "");
        reason = "not a directory";
    }
    SECTION("writable by the group") {
        std::filesystem::create_directory(place);
        std::filesystem::permissions(place, std::filesystem::perms(0770));
        reason = "written by others";
    }
    SECTION("writable by all") {
        std::filesystem::create_directory(place);
        std::filesystem::permissions(place, std::filesystem::perms(0707));
        reason = "written by others";
    }
    SECTION("no sticky bit above") {
        std::filesystem::permissions(machine.var_tmp(), std::filesystem::perms(0777));
        reason = "no sticky bit";
    }
    SECTION("another user's") {
        std::filesystem::create_directory(place);
        if (::geteuid() != 0 || ::chown(place.c_str(), kStranger, kStranger) != 0) {
            std::cout << "SKIPPED: only root can give a directory to another user\n";
            return;
        }
        reason = "belongs to user 54321";
    }
    const CacheRoot root = machine.select();
    CHECK(root.path.empty());
    CHECK(root.origin == "none");
    CHECK(mentions(root, reason));
}

TEST_CASE("two spellings of a root are one root", "[cache_root]") {
    const Machine machine;
    CHECK(machine.select("/a/b/").path == "/a/b");
    CHECK(machine.select("/a/./c/../b").path == "/a/b");
    CHECK(machine.select("/").path == "/");
}
