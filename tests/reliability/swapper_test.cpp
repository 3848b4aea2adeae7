// Suite 11: a process that keeps putting a link to the intruder's copy in the place of a file or a
// directory and back, while others read and write. The copy is never opened.
#include "shared_memory.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;

// Sound under the same key, but not what was compiled here.
Built intruders_built() {
    return sample_built(sample_request(), sample_toolchain(), 222);
}

// Counts the opens of everything below a directory.
class OpenWatch {
public:
    explicit OpenWatch(const fs::path& top)
        : descriptor_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
        add(top);
        for (const auto& entry : fs::recursive_directory_iterator(top)) {
            if (entry.is_directory()) {
                add(entry.path());
            }
        }
        static_cast<void>(take());  // what the iteration itself opened
    }
    OpenWatch(const OpenWatch&) = delete;
    OpenWatch& operator=(const OpenWatch&) = delete;
    ~OpenWatch() { ::close(descriptor_); }
    /// Opened, made or changed since the last call.
    [[nodiscard]] std::uint64_t take() const {
        std::uint64_t events = 0;
        alignas(inotify_event) std::array<char, 16384> buffer{};
        for (ssize_t got = 0; (got = ::read(descriptor_, buffer.data(), buffer.size())) > 0;) {
            for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
                const auto* const event = reinterpret_cast<const inotify_event*>(&buffer.at(at));
                at += sizeof(inotify_event) + event->len;
                ++events;
            }
        }
        return events;
    }

private:
    void add(const fs::path& path) const {
        if (::inotify_add_watch(descriptor_, path.c_str(),
                                IN_OPEN | IN_CREATE | IN_MODIFY | IN_MOVED_TO) < 0) {
            throw std::runtime_error("inotify_add_watch failed");
        }
    }
    int descriptor_;
};

// Swaps `place` and `link` until it is ended; counts in shared memory.
pid_t start_swapper(const fs::path& place, const fs::path& link,
                    std::atomic<std::uint64_t>& swaps) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(STDIN_FILENO);
        for (;;) {
            if (::renameat2(AT_FDCWD, place.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE) ==
                0) {
                ++swaps;
            } else if (errno == EINVAL || errno == ENOSYS) {
                ::_exit(1);
            }
            // Each form stays for a few of the reader's calls.
            const timespec pause{0, 20'000};
            ::nanosleep(&pause, nullptr);
        }
    }
    return child;
}

struct Target {
    const char* name;
    bool is_directory;
    fs::path (*path)(const fs::path& root);
};

void swap_for(std::chrono::milliseconds duration, const Target& target, SuiteRecord& record) {
    const LogCapture quiet;
    const TemporaryDirectory directory(fastest_parent());
    const fs::path root = directory.path() / "root";
    const fs::path outside = directory.path() / "outside";
    for (const fs::path& where : {root, outside}) {
        const Built built = where == root ? sample_built() : intruders_built();
        DirectoryStore(where).publish(built.manifest, built.artifact);
    }
    const fs::path place = target.path(root);
    const fs::path copy = target.path(outside);
    const fs::path link = directory.path() / "link";
    if (target.is_directory) {
        fs::create_directory_symlink(copy, link);
    } else {
        fs::create_symlink(copy, link);
    }
    const SharedMemory<std::atomic<std::uint64_t>> memory;
    std::atomic<std::uint64_t>& swaps = *memory;
    const OpenWatch watch(outside);
    const pid_t swapper = start_swapper(place, link, swaps);
    const auto end = std::chrono::steady_clock::now() + duration;
    std::uint64_t served = 0;
    std::uint64_t round = 0;
    DirectoryStore store(root);
    while (std::chrono::steady_clock::now() < end) {
        const auto found = store.find(sample_request(), sample_toolchain(), {});
        if (found.entry) {
            ++served;
            if (found.entry->artifact != sample_built().artifact) {
                record.violation(std::string(target.name) + ": the intruder's bytes were loaded");
            }
        }
        // A writer as well, now and then: it must not write through a link either.
        if (++round % 16 == 0) {
            const Built other = sample_built(sample_request("p" + std::to_string(round % 5)));
            try {
                store.replace(other.manifest, other.artifact);
            } catch (const std::exception&) {
                record.count("writes refused");
            }
        }
        record.count("lookups");
    }
    ::kill(swapper, SIGKILL);
    int status = 0;
    ::waitpid(swapper, &status, 0);
    if (WIFEXITED(status)) {
        record.note(target.name, "cannot be swapped on this file system");
    }
    const std::uint64_t opens = watch.take();
    if (opens != 0) {
        record.violation(std::string(target.name) + ": " + std::to_string(opens) +
                         " opens outside of the root");
    }
    record.visit(swaps);
    record.count("served in between", served);
}

void run_swapper(std::chrono::milliseconds duration, Form form) {
    SuiteRecord record(11, "intruders", "swapper", "swaps", form);
    const Target targets[] = {
        {"manifest", false, [](const fs::path& r) { return entry_directory(r) / "manifest.json"; }},
        {"artifact", false, [](const fs::path& r) { return entry_directory(r) / "kernels.cubin"; }},
        {"entry", true, [](const fs::path& r) { return entry_directory(r); }},
        {"shard", true, [](const fs::path& r) { return entry_directory(r).parent_path(); }},
        {"entries", true, [](const fs::path& r) { return r / "v1" / "entries"; }},
        {"v1", true, [](const fs::path& r) { return r / "v1"; }},
        {"tmp", true, [](const fs::path& r) { return r / "v1" / "tmp"; }}};
    for (const Target& target : targets) {
        swap_for(duration / std::size(targets), target, record);
    }
    record.check();
}

}  // namespace

TEST_CASE("a swapper of files and links gets nothing loaded for ten seconds", "[intruders]") {
    run_swapper(std::chrono::seconds(10), Form::brief);
}

TEST_CASE("a swapper of files and links gets nothing loaded for a minute", "[intruders][.stress]") {
    run_swapper(std::chrono::seconds(60), Form::full);
}
