// Suite 21: processes that do everything at once to one directory, while they are killed, their
// calls fail, and somebody damages entries. An oracle knows what each answer has to be.
#include "random_faults.hpp"
#include "shared_memory.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/leave.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <random>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kWorkers = 6;
constexpr std::size_t kKeys = 40;
// One call in a hundred fails: one in some three operations.
constexpr unsigned kFaultOneIn = 100;
constexpr std::chrono::milliseconds kLockLimit{500};
// An operation's limit and a machine with better things to do.
constexpr unsigned kStuckSeconds = 60;

// Of one worker; outlives its kills.
struct Share {
    std::atomic<std::uint64_t> operations;
    std::atomic<std::uint64_t> faults;
    std::atomic<std::uint64_t> damaged;
    std::atomic<std::uint64_t> violations;
    std::array<char, 200> first_violation;
};

void complain(Share& share, const std::string& text) {
    if (share.violations++ == 0) {
        std::strncpy(share.first_violation.data(), text.c_str(), share.first_violation.size() - 1);
    }
}

// The oracle: a key's bytes are its number's, and a rebuild's are longer by a multiple of 64.
Built built_of(std::size_t key, std::size_t version) {
    return sample_built(sample_request(fmt::format("p{}", key)), sample_toolchain(),
                        500 + key + 64 * version);
}
bool is_right(std::size_t key, const Bytes& artifact) {
    for (std::size_t version = 0; version < 8; ++version) {
        if (artifact == built_of(key, version).artifact) {
            return true;
        }
    }
    return false;
}

// A byte of some file, whatever it may be.
void damage_something(const fs::path& root, std::mt19937_64& random, Share& share) {
    std::error_code code;
    std::vector<fs::path> files;
    for (fs::recursive_directory_iterator at(root / "v1" / "entries", code);
         !code && at != fs::recursive_directory_iterator(); at.increment(code)) {
        std::error_code gone;
        if (at->is_regular_file(gone)) {
            files.push_back(at->path());
        }
    }
    if (files.empty()) {
        return;
    }
    try {
        const fs::path& file = files[random() % files.size()];
        std::string text = read_file(file);
        if (!text.empty()) {
            text[random() % text.size()] ^= 1;
            // In place: what is renamed over would be another file.
            write_file(file, text);
            ++share.damaged;
        }
    } catch (const std::exception&) {
        return;  // it has gone meanwhile
    }
}

void work(const fs::path& root, std::uint64_t seed, Share& share) {
    const LogCapture quiet;
    std::mt19937_64 random(seed);
    for (;;) {
        RandomFaults files(random(), kFaultOneIn);
        CacheOptions options;
        options.directory = root;
        options.lock_limit = kLockLimit;
        options.limits = Limits{20'000, 25};
        Cache cache(options, files);
        for (int i = 0; i < 30; ++i) {
            ::alarm(kStuckSeconds);
            const std::size_t key = random() % kKeys;
            const Lookup lookup = sample_lookup(sample_request(fmt::format("p{}", key)));
            const std::size_t version = random() % 8;
            try {
                Result result;
                bool must_serve = true;
                switch (random() % 16) {
                case 0:
                    result = cache.rebuild(lookup, [&] { return built_of(key, version); });
                    break;
                case 1:
                    result = cache.find(lookup);
                    must_serve = false;
                    break;
                case 2:
                    cache.directory()->quarantine(
                        entry_name(want_digest(lookup.request), sample_toolchain()));
                    must_serve = false;
                    break;
                case 3:
                    static_cast<void>(cache.directory()->prune(random() % 2 == 0));
                    must_serve = false;
                    break;
                case 4:
                    if (random() % 8 == 0) {
                        static_cast<void>(cache.directory()->clear(false));
                    }
                    must_serve = false;
                    break;
                case 5:
                    damage_something(root, random, share);
                    must_serve = false;
                    break;
                default:
                    result = cache.find_or_build(lookup, [&] { return built_of(key, version); });
                }
                if (must_serve && !result.entry) {
                    complain(share, "an op was not served");
                }
                if (result.entry && !is_right(key, result.entry->artifact)) {
                    complain(share, "wrong bytes were served");
                }
            } catch (const CacheError&) {
                // Of quarantine, prune and clear: a typed answer.
            } catch (const std::exception& error) {
                complain(share, error.what());
            }
            ++share.operations;
        }
        share.faults += files.faults();
    }
}

class Workers {
public:
    Workers(const fs::path& root, std::uint64_t seed) : root_(root), random_(seed) {
        for (std::size_t i = 0; i < kWorkers; ++i) {
            start(i);
        }
    }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers() {
        for (std::size_t i = 0; i < kWorkers; ++i) {
            static_cast<void>(end(i));
        }
    }
    Share& share(std::size_t i) { return memory_.at(i); }
    /// Kills one and starts another in its place; what ended it, where that was not the kill.
    std::string kill_one() {
        const std::size_t victim = random_() % kWorkers;
        std::string other = end(victim);
        start(victim);
        return other;
    }
    std::string end(std::size_t i) {
        if (children_[i] == 0) {
            return {};
        }
        ::kill(children_[i], SIGKILL);
        int status = 0;
        ::waitpid(children_[i], &status, 0);
        children_[i] = 0;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            return {};
        }
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
                   ? "an op hung"
                   : "a worker ended with status " + std::to_string(status);
    }

private:
    void start(std::size_t i) {
        const std::uint64_t seed = random_();
        children_[i] = ::fork();
        if (children_[i] == 0) {
            work(root_, seed, share(i));
            leave(0);
        }
    }

    fs::path root_;
    std::mt19937_64 random_;
    SharedMemory<Share> memory_{kWorkers};
    std::array<pid_t, kWorkers> children_{};
};

void run_soak(std::chrono::seconds duration, std::uint64_t least_kills, Form form) {
    const LogCapture quiet;
    SuiteRecord record(21, "soak", "", "operations", form);
    const TemporaryDirectory directory(fastest_parent());
    const fs::path root = directory.path() / "root";
    std::mt19937_64 random(record.seed());
    std::uint64_t kills = 0;
    {
        Workers workers(root, record.seed());
        const auto start = Clock::now();
        while (Clock::now() - start < duration || kills < least_kills) {
            const auto pace = duration / static_cast<int>(least_kills + least_kills / 4 + 1);
            const auto most = std::chrono::duration_cast<std::chrono::microseconds>(pace).count();
            std::this_thread::sleep_for(
                std::chrono::microseconds(random() % static_cast<std::uint64_t>(2 * most)));
            if (const std::string fault = workers.kill_one(); !fault.empty()) {
                record.violation(fault);
            }
            ++kills;
        }
        for (std::size_t i = 0; i < kWorkers; ++i) {
            if (const std::string fault = workers.end(i); !fault.empty()) {
                record.violation(fault);
            }
            const Share& share = workers.share(i);
            record.visit(share.operations);
            record.count("failed calls", share.faults);
            record.count("damaged files", share.damaged);
            if (share.violations > 0) {
                record.violation(share.first_violation.data());
            }
        }
    }
    record.count("kills", kills);
    // What is left works: whatever is bad is moved away, and each key is compiled at most once.
    for (int run = 0; run < 2; ++run) {
        for (std::size_t key = 0; key < kKeys; ++key) {
            CacheOptions options;
            options.directory = root;
            options.limits = Limits{0, 0};
            Cache cache(options);
            const Result result =
                cache.find_or_build(sample_lookup(sample_request(fmt::format("p{}", key))),
                                    [&] { return built_of(key, 0); });
            if (!result.entry || !is_right(key, result.entry->artifact)) {
                record.violation("after: wrong bytes");
            }
            if (cache.counters().publish_failures != 0 || cache.counters().lock_timeouts != 0) {
                record.violation("after: not kept, or a lock is left");
            }
            if (run == 1 && result.origin == Origin::compiled) {
                record.violation("after: compiled twice");
            }
        }
    }
    for (const Listed& listed : DirectoryStore(root).list(true)) {
        if (!listed.manifest) {
            record.violation("after: a broken entry is left: " + listed.reason);
        }
    }
    record.check();
}

}  // namespace

TEST_CASE("a minute of kills, faults and damage breaks nothing", "[soak]") {
    run_soak(std::chrono::seconds(60), 40, Form::brief);
}

TEST_CASE("ten minutes of kills, faults and damage break nothing", "[soak][.stress]") {
    run_soak(std::chrono::minutes(10), 400, Form::full);
}
