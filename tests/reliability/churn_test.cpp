// Suite 15: eight processes that read and write more than the cap allows. The directory never holds
// more than the cap and what is on its way in, and nobody notices what goes.
#include "shared_memory.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/leave.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kProcesses = 8;
constexpr std::size_t kLargest = 160'000;  // bytes of an artifact
// What one process may have published before it has counted and evicted: one entry.
constexpr std::size_t kInFlight = kProcesses * (kLargest + 4096);

struct Shared {
    std::atomic<std::uint64_t> operations;
    std::atomic<std::uint64_t> compiles;
    std::atomic<std::uint64_t> evicted;
    std::atomic<std::uint64_t> errors;
};

/// Four times as much as the cap lets in.
std::size_t keys_for(std::uint64_t cap) {
    return static_cast<std::size_t>(cap / 21'000);
}

Built built_of(std::size_t key, std::size_t keys) {
    return sample_built(sample_request(fmt::format("p{}", key)), sample_toolchain(),
                        20'000 + key * (kLargest - 20'000) / keys);
}

void churn(const fs::path& root, const Limits& limits, std::uint64_t seed, Clock::time_point end,
           Shared& shared) {
    std::mt19937_64 random(seed);
    const std::size_t keys = keys_for(limits.max_bytes);
    while (Clock::now() < end) {
        // A process's life: its own memory is soon out of the way.
        CacheOptions options;
        options.directory = root;
        options.limits = limits;
        Cache cache(options);
        for (int i = 0; i < 40 && Clock::now() < end; ++i) {
            const std::size_t key = std::min(random() % keys, random() % keys);
            const Built expected = built_of(key, keys);
            const Result result = cache.find_or_build(sample_lookup(expected.manifest.request),
                                                      [&] { return expected; });
            ++shared.operations;
            if (!result.entry || result.entry->artifact != expected.artifact) {
                ++shared.errors;
            }
        }
        const Counters counters = cache.counters();
        shared.compiles += counters.compiles;
        shared.evicted += counters.evicted;
        shared.errors += counters.publish_failures + counters.quarantined + counters.refused;
    }
}

// As `du` sees it: what is there while others come and go.
std::uint64_t size_of_entries(const fs::path& root) {
    std::uint64_t bytes = 0;
    std::error_code code;
    fs::recursive_directory_iterator iterator(root / "v1" / "entries", code);
    while (!code && iterator != fs::recursive_directory_iterator()) {
        std::error_code gone;
        if (iterator->is_regular_file(gone) && !gone) {
            const std::uint64_t size = iterator->file_size(gone);
            bytes += gone ? 0 : size;
        }
        iterator.increment(code);
    }
    return bytes;
}

void run_churn(std::chrono::seconds duration, std::uint64_t cap, Form form) {
    const LogCapture quiet;
    SuiteRecord record(15, "churn", "", "operations", form);
    const TemporaryDirectory directory(fastest_parent());
    const fs::path root = directory.path() / "root";
    Limits limits;
    limits.max_bytes = cap;
    const SharedMemory<Shared> memory;
    Shared& shared = *memory;
    const auto end = Clock::now() + duration;
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < kProcesses; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                churn(root, limits, record.seed() * 100 + i, end, shared);
            } catch (const std::exception&) {
                leave(1);
            }
            leave(0);
        }
        children.push_back(child);
    }
    std::uint64_t peak = 0;
    while (Clock::now() < end) {
        peak = std::max(peak, size_of_entries(root));
        record.count("looks at the size");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        if (status != 0) {
            record.violation("a process ended with status " + std::to_string(status));
        }
    }
    const auto require = [&](bool holds, const std::string& what) {
        if (!holds) {
            record.violation(what);
        }
    };
    require(peak <= cap + kInFlight, fmt::format("the peak was {} bytes, the cap is {} and {} may "
                                                 "have been on their way",
                                                 peak, cap, kInFlight));
    require(shared.errors == 0, fmt::format("{} answers were errors", shared.errors.load()));
    require(shared.evicted > 0, "nothing was evicted");
    require(size_of_entries(root) <= cap, "more than the cap is left");
    for (const Listed& listed : DirectoryStore(root).list(true)) {
        require(listed.manifest.has_value(), "a broken entry is left: " + listed.reason);
    }
    record.visit(shared.operations);
    record.count("compiles", shared.compiles);
    record.count("evictions", shared.evicted);
    record.note("cap", fmt::format("{} bytes", cap));
    record.note("peak", fmt::format("{} bytes", peak));
    record.check();
}

}  // namespace

TEST_CASE("eight processes that write more than the cap stay within it", "[churn]") {
    run_churn(std::chrono::seconds(20), std::uint64_t{8} << 20U, Form::brief);
}

TEST_CASE("eight processes stay within a cap of 64 MiB for ten minutes", "[churn][.stress]") {
    run_churn(std::chrono::minutes(10), std::uint64_t{64} << 20U, Form::full);
}

// As in ccache's tests: so many entries, so many bytes, exactly.
TEST_CASE("a prune removes exactly what is above its caps", "[churn]") {
    SuiteRecord record(15, "churn", "exact counts", "prunes");
    const LogCapture quiet;
    for (std::uint64_t entries = 0; entries <= 12; ++entries) {
        for (std::uint64_t keep = 1; keep <= 12; ++keep) {
            const TemporaryDirectory directory(fastest_parent());
            DirectoryStore store(directory.path() / "root");
            std::uint64_t bytes = 0;
            for (std::uint64_t i = 0; i < entries; ++i) {
                const Built built = sample_built(sample_request(fmt::format("p{}", i)));
                store.publish(built.manifest, built.artifact);
                bytes += to_canonical_json(built.manifest).size() + built.artifact.size();
            }
            for (const bool by_bytes : {false, true}) {
                Limits limits;
                limits.max_entries = by_bytes ? 0 : keep;
                limits.max_bytes = by_bytes && entries > 0 ? keep * bytes / entries : 0;
                const Removal planned = store.prune(true, limits);
                const Removal done = store.prune(false, limits);
                record.visit();
                if (planned.removed.entries != done.removed.entries ||
                    planned.removed.bytes != done.removed.bytes ||
                    planned.kept.entries != done.kept.entries) {
                    record.violation("a dry run gives other numbers");
                }
                if (!by_bytes && done.kept.entries != std::min(entries, keep)) {
                    record.violation(fmt::format("of {} entries {} are left of {}", entries,
                                                 done.kept.entries, keep));
                }
                if (store.list(false).size() != done.kept.entries ||
                    (by_bytes && limits.max_bytes != 0 && done.kept.bytes > limits.max_bytes)) {
                    record.violation("what is left is not what was said");
                }
            }
        }
    }
    record.check();
}
