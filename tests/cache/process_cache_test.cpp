// The cache that a process has without asking for one.
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/log_capture.hpp"
#include "support/private_mounts.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/mount.h>

#include <cstdlib>
#include <iostream>
#include <ostream>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

// A /var/tmp of this process's own, which everybody may write and where anybody may remove.
bool mount_untrusted_var_tmp() {
    return test::enter_private_mounts() &&
           ::mount("none", "/var/tmp", "tmpfs", 0, "mode=0777") == 0;
}

}  // namespace

TEST_CASE("a process has one cache, where the environment says", "[process_cache]") {
    const test::TemporaryDirectory directory;
    const std::filesystem::path root = directory.path() / "root";
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        ::setenv("OPFORGE_CACHE_DIR", root.c_str(), 1);
        const std::shared_ptr<Cache> cache = process_cache();
        ::setenv("OPFORGE_CACHE_DIR", "/elsewhere", 1);
        out << cache->root().path.string() << ' ' << cache->root().origin << ' '
            << (cache == process_cache());
    });
    CHECK(child.output == root.string() + " OPFORGE_CACHE_DIR 1");
}

TEST_CASE("without any place for a directory, kernels are kept in memory, with one warning",
          "[process_cache]") {
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        if (!mount_untrusted_var_tmp()) {
            out << "no mounts";
            return;
        }
        for (const char* name : {"OPFORGE_CACHE_DIR", "XDG_CACHE_HOME", "OPFORGE_LAYERS"}) {
            ::unsetenv(name);
        }
        ::setenv("HOME", "relative", 1);
        const test::LogCapture log;
        Cache cache(CacheOptions{});
        for (const char* program : {"one", "two", "one"}) {
            const Request request = test::sample_request(program);
            const Result result =
                cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); });
            out << to_string(result.origin) << '\n';
        }
        for (const std::string& message : log.messages()) {
            out << message << '\n';
        }
    });
    if (child.output == "no mounts") {
        std::cout << "SKIPPED: mounting takes root\n";
        return;
    }
    CHECK_THAT(child.output, Catch::StartsWith("compiled\ncompiled\nmemory\ncache: no directory"));
    CHECK_THAT(child.output, Catch::Contains("relative") && Catch::Contains("/var/tmp") &&
                                 Catch::Contains("set OPFORGE_CACHE_DIR"));
}
