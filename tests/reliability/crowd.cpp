#include "crowd.hpp"
#include "shared_memory.hpp"

#include "support/cache_samples.hpp"
#include "support/leave.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

namespace opforge::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxKeys = 64;
// What a round may take before it counts as hung; the slowest seen took a tenth.
constexpr std::chrono::seconds kDeadline{120};

// One process's part of the memory that all share; outlives a kill.
struct Share {
    std::atomic<std::uint64_t> compiles;
    std::atomic<std::uint64_t> answers;
    std::atomic<std::uint64_t> wrong_bytes;
    std::array<double, kMaxKeys> waits_ms;
    bool done;
};

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

void ask_for_all(const std::filesystem::path& root, const CrowdPlan& plan, std::size_t index,
                 Share& share) {
    std::vector<std::size_t> order(plan.keys);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937_64(plan.seed * 1000 + index));
    cache::FileSystem& files = plan.files ? plan.files(index) : cache::posix_file_system();
    cache::Cache cache({root, false}, files);
    for (const std::size_t key : order) {
        Clock::duration own{};
        const auto start = Clock::now();
        const cache::Result result = cache.find_or_build(sample_lookup(crowd_request(key)), [&] {
            const auto begin = Clock::now();
            ++share.compiles;
            std::this_thread::sleep_for(plan.compile_time);
            cache::Built built = crowd_built(key);
            own = Clock::now() - begin;
            return built;
        });
        share.waits_ms[key] = milliseconds(Clock::now() - start - own);
        ++share.answers;
        if (!result.entry || result.entry->artifact != crowd_built(key).artifact) {
            ++share.wrong_bytes;
        }
    }
    share.done = true;
}

}  // namespace

cache::Request crowd_request(std::size_t key) {
    return sample_request("program" + std::to_string(key));
}

cache::Built crowd_built(std::size_t key) {
    // Sizes of their own, so that one key's bytes never pass for another's.
    return sample_built(crowd_request(key), sample_toolchain(), 300 + key);
}

CrowdResult run_crowd(const std::filesystem::path& root, const CrowdPlan& plan) {
    if (plan.keys > kMaxKeys) {
        throw std::invalid_argument("run_crowd: too many keys");
    }
    const SharedMemory<Share> memory(plan.processes);
    std::array<int, 2> gate{};
    if (::pipe(gate.data()) != 0) {
        throw std::runtime_error("pipe failed");
    }
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < plan.processes; ++i) {
        const pid_t child = ::fork();
        if (child < 0) {
            throw std::runtime_error("fork failed");
        }
        if (child == 0) {
            ::close(gate[1]);
            char byte = 0;
            static_cast<void>(::read(gate[0], &byte, 1));  // returns when the parent closes its end
            try {
                ask_for_all(root, plan, i, memory.at(i));
            } catch (const std::exception& error) {
                static_cast<void>(std::fprintf(stderr, "process %zu: %s\n", i, error.what()));
                leave(1);
            }
            leave(0);
        }
        children.push_back(child);
    }
    ::close(gate[0]);
    ::close(gate[1]);

    std::mt19937_64 random(plan.seed);
    std::vector<std::size_t> victims(plan.processes);
    std::iota(victims.begin(), victims.end(), std::size_t{0});
    std::shuffle(victims.begin(), victims.end(), random);
    victims.resize(std::min(plan.kills, plan.processes));
    for (const std::size_t victim : victims) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
        ::kill(children[victim], SIGKILL);
    }

    CrowdResult result;
    const auto deadline = Clock::now() + kDeadline;
    for (std::size_t i = 0; i < children.size(); ++i) {
        int status = 0;
        while (::waitpid(children[i], &status, WNOHANG) == 0) {
            if (Clock::now() > deadline) {
                ::kill(children[i], SIGKILL);
                ++result.failed;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        if (WIFSIGNALED(status)) {
            ++result.killed;
        } else if (WEXITSTATUS(status) != 0 || !memory.at(i).done) {
            ++result.failed;
        }
        const Share& share = memory.at(i);
        result.compiles += share.compiles;
        result.answers += share.answers;
        result.wrong_bytes += share.wrong_bytes;
        if (share.done) {
            result.waits_ms.insert(result.waits_ms.end(), share.waits_ms.begin(),
                                   share.waits_ms.begin() + static_cast<std::ptrdiff_t>(plan.keys));
        }
    }
    return result;
}

double percentile(std::vector<double>& values, double percent) {
    if (values.empty()) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    const double place = percent / 100 * static_cast<double>(values.size() - 1);
    return values[static_cast<std::size_t>(std::lround(place))];
}

}  // namespace opforge::test
