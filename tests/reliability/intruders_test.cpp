// Suite 11: what another user could have put into a cache. Nothing of it is loaded, nothing outside
// the root is opened, a FIFO blocks nobody, and the reason names the path and the remedy.
#include "suite_record.hpp"
#include "traced_process.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;

constexpr uid_t kStranger = 54321;

void require_zero(int result, const char* call) {
    if (result != 0) {
        throw std::system_error(errno, std::generic_category(), call);
    }
}

// A cache with a sound entry, and beside it a place of the intruder's.
class House {
public:
    House() {
        const LogCapture quiet;
        for (const fs::path& place : {parent(), outside()}) {
            fs::create_directory(place);
            fs::permissions(place, fs::perms(0700));
        }
        // Through the cache, so that everything a compile leaves behind is there to be replaced.
        Cache cache({root(), false});
        static_cast<void>(cache.find_or_build(sample_lookup(), [] { return sample_built(); }));
        static_cast<void>(DirectoryStore(root()).publish(
            sample_built(sample_request("bad")).manifest, sample_built().artifact));
        DirectoryStore(root()).quarantine(
            entry_name(want_digest(sample_request("bad")), sample_toolchain()));
    }
    [[nodiscard]] fs::path parent() const { return directory_.path() / "parent"; }
    [[nodiscard]] fs::path root() const { return parent() / "root"; }
    [[nodiscard]] fs::path outside() const { return directory_.path() / "outside"; }

private:
    TemporaryDirectory directory_{fastest_parent()};
};

enum class Role { on_the_way, file_of_entry, beside };

struct Target {
    const char* name;
    Role role;
    bool is_directory;
    std::function<fs::path(const House&)> path;
};

std::vector<Target> targets() {
    const auto below = [](const char* name) {
        return [name](const House& house) { return house.root() / name; };
    };
    const auto entry = [](const House& house) { return entry_directory(house.root()); };
    return {
        {"the root", Role::on_the_way, true, [](const House& house) { return house.root(); }},
        {"v1", Role::on_the_way, true, below("v1")},
        {"entries", Role::on_the_way, true, below("v1/entries")},
        {"the shard", Role::on_the_way, true,
         [=](const House& house) { return entry(house).parent_path(); }},
        {"the entry", Role::on_the_way, true, entry},
        {"the manifest", Role::file_of_entry, false,
         [=](const House& house) { return entry(house) / "manifest.json"; }},
        {"the artifact", Role::file_of_entry, false,
         [=](const House& house) { return entry(house) / "kernels.cubin"; }},
        {"tmp", Role::beside, true, below("v1/tmp")},
        {"quarantine", Role::beside, true, below("v1/quarantine")},
        {"the lock", Role::beside, false, below("v1/lock")},
    };
}

struct Kind {
    const char* name;
    bool for_directories;
    bool for_files;
    bool needs_root;
    std::function<void(const House&, const fs::path&)> plant;
};

// The thing itself goes to the intruder's place, and a link to it takes its place.
void link_to_moved(const House& house, const fs::path& path) {
    fs::rename(path, house.outside() / "moved");
    fs::create_symlink(house.outside() / "moved", path);
}

std::vector<Kind> kinds() {
    const auto give_away = [](const House&, const fs::path& path) {
        require_zero(::lchown(path.c_str(), kStranger, kStranger), "lchown");
    };
    const auto mode = [](unsigned bits) {
        return [bits](const House&, const fs::path& path) {
            fs::permissions(path, fs::perms(bits), fs::perm_options::add);
        };
    };
    const auto node = [](mode_t type) {
        return [type](const House&, const fs::path& path) {
            fs::remove_all(path);
            require_zero(::mknod(path.c_str(), type | 0600, makedev(1, 3)), "mknod");
        };
    };
    return {
        {"a link to a sound copy", true, true, false, link_to_moved},
        {"a link to nothing", true, true, false,
         [](const House& house, const fs::path& path) {
             fs::remove_all(path);
             fs::create_symlink(house.outside() / "nothing", path);
         }},
        {"a loop of links", true, true, false,
         [](const House&, const fs::path& path) {
             fs::remove_all(path);
             fs::create_symlink(path, path);
         }},
        {"another's", true, true, true, give_away},
        {"writable by the group", true, true, false, mode(0020)},
        {"writable by others", true, true, false, mode(0002)},
        {"sticky and writable by others", true, false, false, mode(01002)},
        {"a FIFO", true, true, false, node(S_IFIFO)},
        {"a device", true, true, true, node(S_IFCHR)},
        {"a socket", true, true, false, node(S_IFSOCK)},
        {"a file", true, false, false,
         [](const House&, const fs::path& path) {
             fs::remove_all(path);
             write_file(path, "file");
             fs::permissions(path, fs::perms(0600));
         }},
        {"a directory", false, true, false,
         [](const House&, const fs::path& path) {
             fs::remove(path);
             fs::create_directory(path);
             fs::permissions(path, fs::perms(0700));
         }},
        {"a hard link to another's file", false, true, true,
         [](const House& house, const fs::path& path) {
             fs::rename(path, house.outside() / "moved");
             require_zero(::chown((house.outside() / "moved").c_str(), kStranger, kStranger),
                          "chown");
             fs::create_hard_link(house.outside() / "moved", path);
         }},
    };
}

// What the worker found: JSON.
std::string look(const fs::path& root) {
    const LogCapture log(LogLevel::info);
    Cache cache({root, false});
    const Result found = cache.find(sample_lookup());
    bool right = true;
    for (const char* program : {"fake_quantize", "another"}) {
        const Request request = sample_request(program);
        const Result built =
            cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); });
        right = right && built.entry && built.entry->artifact == sample_built().artifact;
    }
    // And a bad entry, so that quarantine is used as well.
    bool healed = false;
    std::string quarantine_error;
    try {
        healed = DirectoryStore(root).quarantine(
            entry_name(want_digest(sample_request("another")), sample_toolchain()));
    } catch (const std::exception& error) {
        quarantine_error = error.what();
    }
    std::vector<std::string> texts = log.messages();
    texts.push_back(found.reason);
    texts.push_back(quarantine_error);
    const nlohmann::json json = {
        {"loaded", found.entry != nullptr}, {"right", right}, {"healed", healed}, {"texts", texts}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool names_remedy(const std::string& text) {
    const auto remedies = {"remove it", "chmod", "chown", "OPFORGE_CACHE_DIR"};
    return std::any_of(remedies.begin(), remedies.end(),
                       [&](const char* remedy) { return text.find(remedy) != std::string::npos; });
}

bool is_below(const std::string& path, const fs::path& root) {
    const std::string base = root.string();
    return path == base || path.starts_with(base + '/');
}

void check_cell(const Target& target, const Kind& kind, SuiteRecord& record) {
    const House house;
    const fs::path culprit = target.path(house);
    if (!fs::exists(culprit)) {
        record.count("cells without such a file");
        return;
    }
    kind.plant(house, culprit);
    TraceOptions options;
    options.record_opened = true;
    const TracedRun run = run_traced([&] { return look(house.root()); }, options);
    record.visit();
    record.count(kind.name);
    const std::string where = std::string(target.name) + " is " + kind.name;
    const auto require = [&](bool holds, const std::string& what) {
        if (!holds) {
            record.violation(where + ": " + what);
        }
    };
    require(!run.hung, "it blocks");
    const auto json = nlohmann::json::parse(run.report, nullptr, false);
    if (run.exit_code != 0 || !json.is_object()) {
        require(false, "the op failed: " + run.report);
        return;
    }
    require(json.at("right").get<bool>(), "wrong bytes are served");
    // The user chose the root, and may have reached it through a link.
    const bool harmless =
        target.role == Role::beside || (std::string(target.name) == "the root" &&
                                        std::string(kind.name) == "a link to a sound copy");
    require(harmless || !json.at("loaded").get<bool>(), "it was loaded");
    if (harmless && target.role != Role::beside) {
        return;
    }
    bool named = false;
    std::string all;
    for (const auto& text : json.at("texts")) {
        const auto line = text.get<std::string>();
        all += "\n    " + line;
        named = named || (line.find(culprit.string()) != std::string::npos && names_remedy(line));
    }
    require(named, "no message names path and remedy:" + all);
    for (const std::string& path : run.opened) {
        // The way down to a root that is missing begins at its parent.
        require(is_below(path, house.root()) || path == house.parent().string(),
                "opened outside of the root: " + path);
    }
    record.count("opens looked at", run.opened.size());
}

}  // namespace

TEST_CASE("nothing that an intruder plants is loaded or followed", "[intruders]") {
    if (const std::string reason = why_no_tracing(); !reason.empty()) {
        std::cout << "SKIPPED: " << reason << '\n';
        return;
    }
    SuiteRecord record(11, "intruders", "", "planted cells");
    for (const Target& target : targets()) {
        for (const Kind& kind : kinds()) {
            if (!(target.is_directory ? kind.for_directories : kind.for_files)) {
                continue;
            }
            if (kind.needs_root && ::geteuid() != 0) {
                record.count("cells that only root can plant");
                continue;
            }
            check_cell(target, kind, record);
        }
    }
    record.check();
}
