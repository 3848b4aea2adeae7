// Suite 18: random sequences of operations on a cache, beside a model that is a map. Whatever the
// order, the cache answers as the map does.
#include "memory_disk.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

constexpr const char* kRoot = "/disk/root";
constexpr int kKeys = 4;
constexpr int kOperations = 50;

enum class Action {
    find,
    find_or_build,
    rebuild,
    restart,     // another process: its memory is empty
    corrupt,     // a bit of the artifact, behind the cache's back
    quarantine,  // by name
    sweep,
    fail,   // a compile that fails
    prune,  // above what there is: nothing goes
    clear,
    other_toolchain,  // policy exact with another one: never served
    offline,          // never compiles
};
constexpr auto kActions = std::to_array<std::pair<Action, const char*>>({
    {Action::find, "find"},
    {Action::find_or_build, "find or build"},
    {Action::rebuild, "rebuild"},
    {Action::restart, "restart"},
    {Action::corrupt, "corrupt"},
    {Action::quarantine, "quarantine"},
    {Action::sweep, "sweep"},
    {Action::fail, "failing build"},
    {Action::prune, "prune"},
    {Action::clear, "clear"},
    {Action::other_toolchain, "find of another toolchain"},
    {Action::offline, "offline"},
});

struct Step {
    std::size_t action;
    int key;
};
[[maybe_unused]] void showValue(const Step& step, std::ostream& out) {
    out << kActions.at(step.action).second << ' ' << step.key;
}

struct CompileFailed : std::runtime_error {
    CompileFailed() : runtime_error("does not compile") {}
};

// The cache and the map side by side.
class Pair {
public:
    Pair() { restart(); }

    void run(const Step& step) {
        const Request request = sample_request("p" + std::to_string(step.key));
        const std::string file = (entry_directory(kRoot, request) / "kernels.cubin").string();
        switch (kActions.at(step.action).first) {
        case Action::find:
            check(step.key, cache_->find(sample_lookup(request)), expected(step.key));
            break;
        case Action::find_or_build: {
            const auto [origin, version] = expected(step.key);
            const int next = next_version_ + 1;
            const Result result = cache_->find_or_build(sample_lookup(request), [&] {
                ++next_version_;
                return built(request, next_version_);
            });
            if (origin == Origin::compiled) {
                RC_ASSERT(next_version_ == next);
                on_disk_[step.key] = in_memory_[step.key] = next;
                damaged_[step.key] = false;
                check(step.key, result, {Origin::compiled, next});
            } else {
                check(step.key, result, {origin, version});
            }
            break;
        }
        case Action::rebuild: {
            ++next_version_;
            const Result result = cache_->rebuild(sample_lookup(request),
                                                  [&] { return built(request, next_version_); });
            on_disk_[step.key] = in_memory_[step.key] = next_version_;
            damaged_[step.key] = false;
            check(step.key, result, {Origin::compiled, next_version_});
            break;
        }
        case Action::restart:
            restart();
            break;
        case Action::corrupt:
            if (on_disk_.contains(step.key)) {
                Bytes bytes = disk_.contents(file);
                bytes[bytes.size() / 2] ^= std::byte{1};
                disk_.set_contents(file, bytes);
                damaged_[step.key] = !damaged_[step.key];
            }
            break;
        case Action::quarantine: {
            const bool was_there = cache_->directory()->quarantine(
                entry_name(want_digest(request), sample_toolchain()));
            RC_ASSERT(was_there == on_disk_.contains(step.key));
            on_disk_.erase(step.key);
            damaged_[step.key] = false;
            break;
        }
        case Action::sweep:
            cache_->directory()->sweep();
            break;
        case Action::fail: {
            const auto [origin, version] = expected(step.key);
            try {
                const Result result = cache_->find_or_build(
                    sample_lookup(request), []() -> Built { throw CompileFailed(); });
                check(step.key, result, {origin, version});
                RC_ASSERT(origin != Origin::compiled);
            } catch (const CompileFailed&) {
                RC_ASSERT(origin == Origin::compiled);
            }
            break;
        }
        case Action::prune:
            RC_ASSERT(cache_->directory()->prune(false).removed.entries == 0U);
            break;
        case Action::clear: {
            const std::size_t there = on_disk_.size();
            RC_ASSERT(cache_->directory()->clear(true).removed.entries == there);
            RC_ASSERT(cache_->directory()->clear(false).removed.entries == there);
            on_disk_.clear();
            damaged_.clear();
            break;
        }
        case Action::other_toolchain:
            RC_ASSERT(cache_->find(sample_lookup(request, sample_toolchain(12, 9))).entry ==
                      nullptr);
            break;
        case Action::offline: {
            Lookup lookup = sample_lookup(request);
            lookup.policy = Policy::offline;
            const Expected found = expected(step.key);
            check(
                step.key,
                cache_->find_or_build(lookup, []() -> Built { throw std::logic_error("offline"); }),
                found);
            break;
        }
        }
        const std::size_t listed = cache_->directory()->list(false).size();
        RC_ASSERT(listed == on_disk_.size());
        RC_ASSERT(disk_.open_descriptors() == 0U);
    }

private:
    struct Expected {
        Origin origin;
        int version;
    };

    static Built built(const Request& request, int version) {
        return sample_built(request, sample_toolchain(), 200 + static_cast<std::size_t>(version));
    }
    // What the map says a lookup finds; `compiled` is a miss. A bad entry that a lookup meets is
    // moved away.
    Expected expected(int key) {
        if (const auto found = in_memory_.find(key); found != in_memory_.end()) {
            return {Origin::memory, found->second};
        }
        if (damaged_[key]) {
            on_disk_.erase(key);
            damaged_[key] = false;
        }
        if (const auto found = on_disk_.find(key); found != on_disk_.end()) {
            in_memory_[key] = found->second;
            return {Origin::user_directory, found->second};
        }
        return {Origin::compiled, 0};
    }
    static void check(int key, const Result& result, const Expected& expected) {
        if (expected.origin == Origin::compiled && expected.version == 0) {
            RC_ASSERT(result.entry == nullptr);
            return;
        }
        RC_ASSERT(result.entry != nullptr);
        RC_ASSERT(result.origin == expected.origin);
        const Request request = sample_request("p" + std::to_string(key));
        RC_ASSERT(result.entry->artifact == built(request, expected.version).artifact);
    }
    void restart() {
        in_memory_.clear();
        cache_ = std::make_unique<Cache>(CacheOptions{kRoot, false}, disk_);
    }

    MemoryDisk disk_{"disk"};
    std::unique_ptr<Cache> cache_;
    std::map<int, int> on_disk_;
    std::map<int, int> in_memory_;
    std::map<int, bool> damaged_;
    int next_version_ = 0;
};

void run_sequences(std::uint64_t sequences, Form form) {
    const LogCapture quiet;
    SuiteRecord record(18, "properties", "sequences", "sequences of 50 operations", form);
    rc::detail::TestParams parameters;
    parameters.seed = record.seed();
    parameters.maxSuccess = static_cast<int>(sequences);
    std::uint64_t run = 0;
    const auto result = rc::detail::checkTestable(
        [&] {
            const auto steps = *rc::gen::container<std::vector<Step>>(
                kOperations,
                rc::gen::map(rc::gen::pair(rc::gen::inRange<std::size_t>(0, kActions.size()),
                                           rc::gen::inRange(0, kKeys)),
                             [](const std::pair<std::size_t, int>& drawn) {
                                 return Step{drawn.first, drawn.second};
                             }));
            Pair pair;
            for (const Step& step : steps) {
                pair.run(step);
            }
            ++run;
        },
        rc::detail::TestMetadata(), parameters);
    record.visit(run);
    record.count("operations", run * kOperations);
    std::ostringstream text;
    rc::detail::printResultMessage(result, text);
    if (!result.template is<rc::detail::SuccessResult>()) {
        record.violation(text.str());
    }
    record.check();
}

// Every field of a request in turn, changed; then its lists in another order.
void run_keys(std::uint64_t rounds) {
    SuiteRecord record(18, "properties", "keys", "keys compared");
    std::mt19937_64 random(record.seed());
    const auto word = [&] { return "w" + std::to_string(random() % 100000); };
    for (std::uint64_t round = 0; round < rounds; ++round) {
        Request request = sample_request(word());
        for (std::uint64_t i = random() % 6; i > 0; --i) {
            request.headers.push_back({word() + std::to_string(i), sha256(word())});
            request.options.push_back("--" + word());
            request.defines.emplace_back(word() + std::to_string(i), word());
            request.kernels.push_back(word());
        }
        const Digest want = want_digest(request);
        Request shuffled = request;
        std::shuffle(shuffled.headers.begin(), shuffled.headers.end(), random);
        std::shuffle(shuffled.options.begin(), shuffled.options.end(), random);
        std::shuffle(shuffled.defines.begin(), shuffled.defines.end(), random);
        std::shuffle(shuffled.kernels.begin(), shuffled.kernels.end(), random);
        if (want_digest(shuffled) != want) {
            record.violation("an order changes the key, round " + std::to_string(round));
        }
        const auto differs = [&](const char* field, auto change) {
            Request changed = request;
            change(changed);
            record.visit();
            if (want_digest(changed) == want) {
                record.violation(std::string(field) + " does not change the key");
            }
        };
        differs("op", [](Request& r) { r.op += 'x'; });
        differs("program", [](Request& r) { r.program += 'x'; });
        differs("source", [&](Request& r) { r.source = sha256(word()); });
        differs("a header's digest", [&](Request& r) { r.headers[0].digest = sha256(word()); });
        differs("a header's name", [](Request& r) { r.headers[0].name += 'x'; });
        differs("a header less", [](Request& r) { r.headers.pop_back(); });
        differs("an option", [](Request& r) { r.options[0] += 'x'; });
        differs("an option less", [](Request& r) { r.options.pop_back(); });
        differs("an option twice", [](Request& r) { r.options.push_back(r.options[0]); });
        differs("a define's value", [](Request& r) { r.defines[0].second += 'x'; });
        differs("a define's name", [](Request& r) { r.defines[0].first += 'x'; });
        differs("a kernel", [](Request& r) { r.kernels[0] += 'x'; });
        differs("the target", [](Request& r) { r.target += 'a'; });
        differs("the kind", [](Request& r) { r.artifact_kind = "ptx"; });
        const Toolchain toolchain = sample_toolchain(13, 0, word());
        const auto tells_apart = [&](const char* field, auto change) {
            Toolchain changed = toolchain;
            change(changed);
            record.visit();
            if (full_digest(request, changed) == full_digest(request, toolchain) ||
                entry_name(want, changed) == entry_name(want, toolchain)) {
                record.violation(std::string(field) + " does not change the full key");
            }
        };
        tells_apart("the toolchain's name", [](Toolchain& t) { t.name += 'x'; });
        tells_apart("the major", [](Toolchain& t) { ++t.major; });
        tells_apart("the minor", [](Toolchain& t) { ++t.minor; });
        tells_apart("the fingerprint", [](Toolchain& t) { t.fingerprint += 'x'; });
    }
    record.check();
}

}  // namespace

TEST_CASE("random operations on a cache do what they do on a map", "[properties]") {
    run_sequences(scaled(400), Form::brief);
}

TEST_CASE("ten thousand sequences of operations on a cache do what they do on a map",
          "[properties][.stress]") {
    run_sequences(10000, Form::full);
}

TEST_CASE("the order of inputs never changes a key and any field does", "[properties]") {
    run_keys(scaled(300));
}
