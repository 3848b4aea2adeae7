// Sixteen processes on one directory, each through an NFS client's view of it: names that show
// late, stale handles, renames whose answer is lost, no locks on the directory itself.
#include "crowd.hpp"
#include "network_view.hpp"
#include "suite_record.hpp"

#include <opforge/cache/directory_store.hpp>

#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <memory>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

// One machine's processes share a lock in a place of their own: one compile a key.
// On machines of their own, each may compile once.
void run_view(const char* part, bool one_machine, std::uint64_t rounds) {
    SuiteRecord record(9, "delayed visibility", part, "answers");
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const TemporaryDirectory directory(fastest_parent());
        const std::string root = (directory.path() / "root").string();
        std::unique_ptr<NetworkView> view;
        CrowdPlan plan;
        plan.processes = scaled(16);
        plan.keys = 12;
        plan.seed = record.seed() + round;
        plan.files = [&](std::size_t index) -> FileSystem& {
            // Where the lock of this machine's processes lies.
            const auto place =
                directory.path() / (one_machine ? "node" : "node" + std::to_string(index));
            std::filesystem::create_directory(place);
            std::filesystem::permissions(place, std::filesystem::perms(0700));
            ::setenv("XDG_RUNTIME_DIR", place.c_str(), 1);
            view =
                std::make_unique<NetworkView>(plan.seed * 100 + index, root, NetworkView::Rates());
            return *view;
        };
        const CrowdResult result = run_crowd(root, plan);
        const auto require = [&](bool holds, const std::string& what) {
            if (!holds) {
                record.violation("round " + std::to_string(round) + ": " + what);
            }
        };
        require(result.failed == 0, std::to_string(result.failed) + " processes failed");
        require(result.wrong_bytes == 0, std::to_string(result.wrong_bytes) + " wrong answers");
        require(result.answers == plan.processes * plan.keys, "answers are missing");
        const std::uint64_t most = one_machine ? plan.keys : plan.keys * plan.processes;
        require(result.compiles >= plan.keys && result.compiles <= most,
                std::to_string(result.compiles) + " compiles");
        record.visit(result.answers);
        record.count("compiles", result.compiles);
        record.count("keys", plan.keys);
        std::size_t sound = 0;
        for (const Listed& listed : DirectoryStore(root).list(true)) {
            require(listed.manifest.has_value(), "a broken entry is left: " + listed.reason);
            ++sound;
        }
        require(sound == plan.keys, std::to_string(sound) + " entries are left");
    }
    record.check();
}

}  // namespace

TEST_CASE("sixteen processes of one machine on NFS compile each key once", "[delayed_visibility]") {
    run_view("one machine", true, scaled(4));
}

TEST_CASE("sixteen machines on NFS all get the right bytes", "[delayed_visibility]") {
    run_view("sixteen machines", false, scaled(4));
}
