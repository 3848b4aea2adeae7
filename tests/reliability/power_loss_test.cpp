// Suite 2: the power fails after each call that reaches the disk, and of what nobody had synced by
// then any part is lost. What was acknowledged is still there, and nothing that can be seen is
// torn. (This suite and the budget of fsyncs carry the claim of durability: a SIGKILL loses
// nothing.)
#include "memory_disk.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <unordered_set>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

constexpr const char* kRoot = "/disk/root";
// All ways in which the unsynced effects may come out are gone through up to this many: 2 to the
// power of 12. Of more, samples.
constexpr std::uint64_t kAll = 4096;
constexpr int kSamples = 1000;

// Larger than a sector, so that a cut one differs from a lost one; named by the program.
Built built_for(const std::string& program, std::size_t size_bytes = 1200) {
    return sample_built(sample_request(program), sample_toolchain(), size_bytes);
}

struct Step {
    MemoryDisk& disk;
    void publish(const std::string& program) const {
        const Built built = built_for(program);
        DirectoryStore(kRoot, disk).publish(built.manifest, built.artifact);
        disk.mark("acknowledged " + program);
    }
};

struct Scenario {
    const char* name;
    std::function<void(const Step&)> before;  // durable when the work begins
    std::function<void(const Step&)> work;
    std::set<std::string> acknowledged;  // before the work
    bool starts_bad = false;             // a torn entry is there before
};

std::vector<Scenario> scenarios() {
    const auto nothing = [](const Step&) {};
    const auto publish = [](const std::string& program) {
        return [program](const Step& step) { step.publish(program); };
    };
    std::vector<Scenario> all;
    all.push_back({"first publish", nothing, publish("a"), {}, false});
    all.push_back({"publish", publish("b"), publish("a"), {"b"}, false});
    all.push_back({"publish again", publish("a"), publish("a"), {"a"}, false});
    all.push_back({"replace",
                   publish("a"),
                   [](const Step& step) {
                       const Built built = built_for("a", 1300);
                       DirectoryStore(kRoot, step.disk).replace(built.manifest, built.artifact);
                       step.disk.mark("acknowledged a");
                   },
                   {"a"},
                   false});
    all.push_back({"quarantine and rebuild",
                   [](const Step& step) {
                       step.publish("a");
                       step.disk.set_contents(entry_directory(kRoot, sample_request("a")).string() +
                                                  "/kernels.cubin",
                                              Bytes(1200));
                   },
                   [](const Step& step) {
                       Cache cache({kRoot, false}, step.disk);
                       static_cast<void>(cache.find_or_build(sample_lookup(sample_request("a")),
                                                             [] { return built_for("a"); }));
                       step.disk.mark("acknowledged a");
                   },
                   {},
                   true});
    all.push_back({"four publishes",
                   nothing,
                   [](const Step& step) {
                       for (const char* program : {"a", "b", "c", "d"}) {
                           step.publish(program);
                       }
                   },
                   {},
                   false});
    return all;
}

bool is_data(const Effect& effect) {
    return std::holds_alternative<DataWritten>(effect);
}

// Goes through the ways in which `pending` effects may come out: each gets its Outcome in turn.
class Outcomes {
public:
    Outcomes(const std::vector<bool>& data, std::mt19937_64& random)
        : data_(data), random_(random) {
        total_ = 1;
        for (const bool one : data_) {
            total_ = std::min<std::uint64_t>(total_ * (one ? 4 : 2), kAll + 1);
        }
    }
    [[nodiscard]] bool exhaustive() const { return total_ <= kAll; }
    [[nodiscard]] std::uint64_t size() const { return exhaustive() ? total_ : kSamples; }
    [[nodiscard]] std::vector<Outcome> at(std::uint64_t number) {
        std::vector<Outcome> outcomes;
        for (const bool one : data_) {
            const std::uint64_t ways = one ? 4 : 2;
            const std::uint64_t way = exhaustive() ? number % ways : random_() % ways;
            number /= ways;
            outcomes.push_back(static_cast<Outcome>(way));
        }
        return outcomes;
    }

private:
    const std::vector<bool>& data_;
    std::mt19937_64& random_;
    std::uint64_t total_ = 1;
};

// The machine is on again: what is there is sound, what was acknowledged is there, and the cache
// works.
void check_state(const DiskImage& image, const std::set<std::string>& acknowledged, bool may_be_bad,
                 SuiteRecord& record, const std::string& where) {
    const auto require = [&](bool holds, const std::string& what) {
        if (!holds) {
            record.violation(where + ": " + what);
        }
    };
    MemoryDisk disk(image);
    DirectoryStore store(kRoot, disk);
    for (const Listed& listed : store.list(true)) {
        require(listed.manifest || may_be_bad, "a torn entry is there: " + listed.reason);
    }
    for (const std::string& program : acknowledged) {
        require(store.find(sample_request(program), sample_toolchain(), {}).entry != nullptr,
                "the acknowledged entry " + program + " is lost");
    }
    for (const bool first : {true, false}) {
        Cache cache({kRoot, false}, disk);
        const Result result =
            cache.find_or_build(sample_lookup(sample_request("a")), [] { return built_for("a"); });
        require(result.entry && (result.entry->artifact == built_for("a").artifact ||
                                 result.entry->artifact == built_for("a", 1300).artifact),
                "wrong bytes are served");
        require(first || result.origin == Origin::user_directory, "the second run compiles again");
    }
    require(disk.open_descriptors() == 0, "a descriptor is left open");
}

void run_scenario(const Scenario& scenario, SuiteRecord& record) {
    MemoryDisk disk("disk");
    const Step step{disk};
    scenario.before(step);
    const DiskImage before = disk.image();
    disk.settle();
    scenario.work(step);
    const std::vector<DiskEvent> events = disk.events();
    // Nodes that the work made exist from the start, unnamed and empty: a lost name hides them, a
    // lost write leaves them so.
    DiskImage start = before;
    const DiskImage after = disk.image();
    for (std::size_t made = before.size(); made < after.size(); ++made) {
        DiskNode unnamed = after[made];
        unnamed.data.clear();
        unnamed.names.clear();
        start.push_back(std::move(unnamed));
    }
    std::mt19937_64 random(record.seed());
    std::unordered_set<std::string> seen;
    std::uint64_t visited = 0;
    for (std::size_t length = 0; length <= events.size(); ++length) {
        const std::vector<bool> is_durable = durable(events, length);
        std::set<std::string> acknowledged = scenario.acknowledged;
        std::vector<bool> data;
        for (std::size_t i = 0; i < length; ++i) {
            if (const auto* const effect = std::get_if<Effect>(&events[i])) {
                if (!is_durable[i]) {
                    data.push_back(is_data(*effect));
                }
            } else if (const auto* const mark = std::get_if<Mark>(&events[i])) {
                acknowledged.insert(mark->text.substr(mark->text.rfind(' ') + 1));
            }
        }
        Outcomes outcomes(data, random);
        record.count(outcomes.exhaustive() ? "prefixes gone through whole" : "prefixes sampled");
        for (std::uint64_t number = 0; number < outcomes.size(); ++number) {
            const std::vector<Outcome> chosen = outcomes.at(number);
            DiskImage image = start;
            std::size_t pending = 0;
            for (std::size_t i = 0; i < length; ++i) {
                if (const auto* const effect = std::get_if<Effect>(&events[i])) {
                    apply(image, *effect, is_durable[i] ? Outcome::kept : chosen[pending++]);
                }
            }
            ++visited;
            std::string key = fingerprint(image);
            for (const std::string& name : acknowledged) {
                key += ' ' + name;
            }
            if (seen.insert(std::move(key)).second) {
                check_state(image, acknowledged, scenario.starts_bad, record,
                            std::string(scenario.name) + ", after event " + std::to_string(length) +
                                " of " + std::to_string(events.size()));
            }
        }
    }
    record.visit(visited);
    record.count("distinct disks", seen.size());
    record.count(std::string("states of ") + scenario.name, visited);
}

}  // namespace

TEST_CASE("whenever the power fails, no acknowledged entry is lost and none is torn",
          "[power_loss]") {
    const LogCapture quiet;
    SuiteRecord record(2, "power loss", "", "disk states");
    for (const Scenario& scenario : scenarios()) {
        run_scenario(scenario, record);
    }
    record.check();
}
