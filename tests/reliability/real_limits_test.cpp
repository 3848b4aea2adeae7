// Suite 4: limits that are the kernel's own: small and read-only file systems, few descriptors,
// small files, no home, a root that goes away. The op is served, from memory where need be, and the
// host gets no signal.
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/log_capture.hpp"
#include "support/private_mounts.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kArtifactBytes = 40'000;

Built build() {
    return sample_built(sample_request(), sample_toolchain(), kArtifactBytes);
}

void require_done(bool done, const char* what) {
    if (!done) {
        throw std::system_error(errno, std::generic_category(), what);
    }
}

// In a child, where nothing that a cell sets reaches the tests: what went wrong goes to `out`.
void serve(const std::optional<fs::path>& root, std::ostream& out) {
    const LogCapture log;
    Cache cache({root, false});
    for (int time = 0; time < 2; ++time) {
        const Result result = cache.find_or_build(sample_lookup(), build);
        if (!result.entry || result.entry->artifact != build().artifact) {
            out << "not served; ";
        }
    }
    if (cache.counters().compiles > 1) {
        out << "compiled twice; ";
    }
    if (log.messages().size() > 1) {
        out << log.messages().size() << " warnings: ";
        for (const std::string& message : log.messages()) {
            out << message << "; ";
        }
    }
}

// The directory is sound, and serves and keeps again.
void check_recovery(const fs::path& root, std::ostream& out) {
    const LogCapture quiet;
    for (const Listed& listed : DirectoryStore(root).list(true)) {
        if (!listed.manifest) {
            out << "a broken entry is left: " << listed.reason << "; ";
        }
    }
    Cache cache({root, false});
    if (!cache.find_or_build(sample_lookup(), build).entry) {
        out << "not served after; ";
    }
    if (cache.counters().publish_failures != 0) {
        out << "not kept after; ";
    }
}

class Cells {
public:
    explicit Cells(SuiteRecord& record) : record_(record) {}
    void run(const std::string& name, const std::function<void(std::ostream&)>& work) {
        record_.visit();
        const ChildResult result = run_in_child([&](std::ostream& out) {
            try {
                work(out);
            } catch (const std::exception& error) {
                out << "threw: " << error.what();
            }
        });
        if (result.exit_code != 0 || !result.output.empty()) {
            record_.violation(name + ": ended with " + std::to_string(result.exit_code) + ", " +
                              result.output);
        }
    }

private:
    SuiteRecord& record_;
};

// A mount namespace of this process's own.
bool can_mount() {
    const ChildResult result =
        run_in_child([](std::ostream& out) { out << enter_private_mounts(); });
    return result.exit_code == 0 && result.output == "1";
}

void mount_memory(const fs::path& at, const std::string& options) {
    require_done(enter_private_mounts(), "private mounts");
    require_done(::mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) == 0, "mount tmpfs");
}

void full_disks(Cells& cells, SuiteRecord& record) {
    if (!can_mount()) {
        record.note("tmpfs cells", "left out: only root may mount");
        return;
    }
    const TemporaryDirectory mount_point;
    const fs::path root = mount_point.path() / "root";
    const std::string mode = ",mode=0700";
    // tmpfs counts pages; size=0 would be no limit.
    for (std::size_t pages = 1; pages <= kArtifactBytes / 4096 + 6; ++pages) {
        cells.run("a disk of " + std::to_string(pages) + " pages", [&](std::ostream& out) {
            mount_memory(mount_point.path(), "size=" + std::to_string(pages * 4096) + mode);
            serve(root, out);
            require_done(
                ::mount(nullptr, mount_point.path().c_str(), nullptr, MS_REMOUNT, "size=1m") == 0,
                "remount");
            check_recovery(root, out);
        });
    }
    for (std::size_t inodes = 2; inodes <= 12; ++inodes) {
        cells.run("a disk of " + std::to_string(inodes) + " inodes", [&](std::ostream& out) {
            mount_memory(mount_point.path(), "size=1m,nr_inodes=" + std::to_string(inodes) + mode);
            serve(root, out);
            require_done(::mount(nullptr, mount_point.path().c_str(), nullptr, MS_REMOUNT,
                                 "size=1m,nr_inodes=100") == 0,
                         "remount");
            check_recovery(root, out);
        });
    }
    for (const bool warm : {false, true}) {
        cells.run(warm ? "a read-only disk with an entry" : "a read-only disk",
                  [&](std::ostream& out) {
                      mount_memory(mount_point.path(), "size=1m" + mode);
                      if (warm) {
                          DirectoryStore(root).publish(build().manifest, build().artifact);
                      }
                      require_done(::mount(nullptr, mount_point.path().c_str(), nullptr,
                                           MS_REMOUNT | MS_RDONLY, nullptr) == 0,
                                   "remount");
                      serve(root, out);
                      Cache cache({root, false});
                      if ((cache.find(sample_lookup()).entry != nullptr) != warm) {
                          out << "the entry should " << (warm ? "" : "not ") << "be found";
                      }
                  });
    }
    // What is chosen where nothing is said, with a /var/tmp of our own.
    struct Home {
        const char* what;
        const char* value;
        const char* expected;
    };
    for (const Home& home : {Home{"no HOME", nullptr, "/var/tmp"}, Home{"HOME=/", "/", "/var/tmp"},
                             Home{"HOME of another", "/tmp/opforge-foreign-home", "/var/tmp"},
                             Home{"HOME that is missing", "/nonexistent", "/var/tmp"},
                             Home{"a relative HOME", "home", "/var/tmp"}}) {
        cells.run(home.what, [&](std::ostream& out) {
            mount_memory("/var/tmp", "size=1m,mode=1777");
            require_done(::mount("tmpfs", "/tmp", "tmpfs", 0, "size=1m,mode=1777") == 0, "mount");
            require_done(::mkdir("/tmp/opforge-foreign-home", 0755) == 0, "mkdir");
            require_done(::chown("/tmp/opforge-foreign-home", 54321, 54321) == 0, "chown");
            for (const char* name : {"OPFORGE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}) {
                ::unsetenv(name);
            }
            if (home.value != nullptr) {
                ::setenv("HOME", home.value, 1);
            }
            serve(std::nullopt, out);
            const Cache cache;
            if (cache.root().origin != home.expected) {
                out << "the root comes from " << cache.root().origin;
            }
        });
    }
    cells.run("no HOME and a read-only /var/tmp", [&](std::ostream& out) {
        mount_memory("/var/tmp", "size=1m,mode=1777,ro");
        for (const char* name : {"OPFORGE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}) {
            ::unsetenv(name);
        }
        serve(std::nullopt, out);
    });
}

void few_descriptors(Cells& cells) {
    const TemporaryDirectory directory;
    for (const bool warm : {false, true}) {
        for (rlim_t more = 0; more <= 12; ++more) {
            const fs::path root = directory.path() / (std::to_string(more) + (warm ? "w" : "c"));
            if (warm) {
                DirectoryStore(root).publish(build().manifest, build().artifact);
            }
            cells.run(std::to_string(more) + " descriptors", [&](std::ostream& out) {
                const rlim_t used = static_cast<rlim_t>(::dup(0));
                ::close(static_cast<int>(used));
                rlimit limit{};
                require_done(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
                const rlim_t before = limit.rlim_cur;
                limit.rlim_cur = used + more;
                require_done(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
                serve(root, out);
                limit.rlim_cur = before;
                require_done(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
                check_recovery(root, out);
            });
        }
    }
}

void small_files(Cells& cells) {
    const TemporaryDirectory directory;
    for (const rlim_t bytes : {0, 1, 100, 511, 512, 1000, 1500, 4096, 39'999, 40'000, 50'000}) {
        const fs::path root = directory.path() / std::to_string(bytes);
        cells.run("files of at most " + std::to_string(bytes) + " bytes", [&](std::ostream& out) {
            const rlimit limit{bytes, RLIM_INFINITY};
            require_done(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
            serve(root, out);
            const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
            require_done(::setrlimit(RLIMIT_FSIZE, &none) == 0, "setrlimit");
            check_recovery(root, out);
        });
    }
}

void odd_roots(Cells& cells) {
    const TemporaryDirectory directory;
    for (const std::size_t length : {255U, 256U, 4200U}) {
        cells.run(
            "a root with a name of " + std::to_string(length) + " bytes",
            [&](std::ostream& out) { serve(directory.path() / std::string(length, 'n'), out); });
    }
    cells.run("a root as deep as paths go", [&](std::ostream& out) {
        fs::path deep = directory.path();
        for (int i = 0; i < 15; ++i) {
            deep /= std::string(255, 'd');
        }
        serve(deep, out);
    });
    cells.run("a program's name of 100 000 bytes", [&](std::ostream& out) {
        const Request request = sample_request(std::string(100'000, 'p'));
        Cache cache({directory.path() / "long", false});
        for (int time = 0; time < 2; ++time) {
            if (!cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); })
                     .entry) {
                out << "not served";
            }
        }
    });
    cells.run("a root that is a file", [&](std::ostream& out) {
        write_file(directory.path() / "file", "");
        serve(directory.path() / "file", out);
    });
    cells.run("a root that becomes a file while in use", [&](std::ostream& out) {
        const LogCapture quiet;
        const fs::path root = directory.path() / "becomes";
        Cache cache({root, false});
        static_cast<void>(cache.find_or_build(sample_lookup(), build));
        fs::remove_all(root);
        write_file(root, "");
        const Request other = sample_request("other");
        if (!cache.find_or_build(sample_lookup(other), [&] { return sample_built(other); }).entry) {
            out << "not served";
        }
        fs::remove(root);
        check_recovery(root, out);
    });
}

// Somebody keeps removing the root while threads use it.
void vanishing_root(Cells& cells, SuiteRecord& record) {
    const TemporaryDirectory directory(fastest_parent());
    const fs::path root = directory.path() / "root";
    constexpr int kRounds = 200;
    cells.run("a root that is removed again and again", [&](std::ostream& out) {
        const LogCapture quiet;
        std::atomic<bool> stop{false};
        std::thread remover([&] {
            while (!stop) {
                std::error_code ignored;
                fs::remove_all(root, ignored);
                std::this_thread::sleep_for(std::chrono::microseconds(300));
            }
        });
        for (int round = 0; round < kRounds; ++round) {
            Cache cache({root, false});
            const Result result = cache.find_or_build(sample_lookup(), build);
            if (!result.entry || result.entry->artifact != build().artifact) {
                out << "not served in round " << round << "; ";
            }
        }
        stop = true;
        remover.join();
        check_recovery(root, out);
    });
    record.count("rounds under a root that vanishes", kRounds);
}

}  // namespace

TEST_CASE("whatever limit the kernel sets, the op is served", "[real_limits]") {
    SuiteRecord record(4, "real limits", "", "cells");
    Cells cells(record);
    full_disks(cells, record);
    few_descriptors(cells);
    small_files(cells);
    odd_roots(cells);
    vanishing_root(cells, record);
    record.check();
}
