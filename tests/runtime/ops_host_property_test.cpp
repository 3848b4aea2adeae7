// The host backend of the ops with codes against the oracle, bit for bit, over the sweep.
#include "ops_sweep.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using namespace opforge::test;

namespace {

std::string compare(const OpsCase& of, const OpsTensors& before, const OpsTensors& expected) {
    const GuardedTensors tensors(of, before);
    const OpsResult result = run(make_call(of, before, tensors.memory(), runtime::Device::cpu()));
    if (result.output.data != tensors.memory()[Role::output] ||
        (result.params.has_value() && result.params->data != tensors.memory()[Role::params])) {
        return describe(of) + "\n  the returned views are not the results'";
    }
    return tensors.mismatch(expected);
}

std::string compare(const OpsCase& of) {
    const OpsTensors before = make_tensors(of);
    return compare(of, before, expected_tensors(of, before));
}

// Reports a few failures rather than thousands.
class Failures {
public:
    void add(const std::string& text) {
        if (!text.empty() && ++count_ <= 5) {
            UNSCOPED_INFO(text);
        }
    }
    [[nodiscard]] int count() const { return count_; }

private:
    int count_ = 0;
};

}  // namespace

TEST_CASE("the host equals the oracle over a random sweep of the ops with codes",
          "[runtime][property]") {
    constexpr std::uint64_t kCases = 20000;
    const std::uint64_t first = first_seed(31260000, kCases);
    Failures failures;
    for (std::uint64_t seed = first; seed < first + kCases; ++seed) {
        failures.add(compare(random_ops_case(seed, 1500)));
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("every pattern of values and records equals the oracle in every op with codes",
          "[runtime][property]") {
    Failures failures;
    std::uint64_t number = 0;
    for (int op = 0; op < kOps; ++op) {
        for (int pattern = 0; pattern < kPatterns; ++pattern) {
            for (int records = 0; records < kRecordKinds; ++records) {
                for (int repeat = 0; repeat < 3; ++repeat) {
                    OpsCase of = ops_case(static_cast<Op>(op), ++number, 67);
                    of.pattern = static_cast<Pattern>(pattern);
                    of.records = static_cast<Records>(records);
                    failures.add(compare(of));
                }
            }
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("every group size up to 150 equals the oracle in every op with codes",
          "[runtime][property]") {
    Failures failures;
    std::uint64_t number = 5000;
    for (int op = 0; op < kOps; ++op) {
        for (std::int64_t size = 1; size <= 150; ++size) {
            failures.add(compare(ops_case(static_cast<Op>(op), ++number, size)));
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("large tensors of the ops with codes give the oracle's bits at every thread count",
          "[runtime][property]") {
    // Large enough that every thread gets work, by groups and within one group.
    struct Layout {
        std::int64_t groups;
        std::int64_t group_size;
    };
    Failures failures;
    std::uint64_t number = 9000;
    for (int op = 0; op < kOps; ++op) {
        for (const Layout layout : {Layout{4, 50002}, Layout{1700, 88}}) {
            OpsCase of = ops_case(static_cast<Op>(op), ++number, layout.group_size);
            of.groups = layout.groups;
            const OpsTensors before = make_tensors(of);
            const OpsTensors expected = expected_tensors(of, before);
            for (int threads = 0; threads <= 4; ++threads) {
                of.threads = threads;
                failures.add(compare(of, before, expected));
            }
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("a sum of seventy devices equals the oracle", "[runtime][property]") {
    Failures failures;
    for (std::uint64_t number = 1; number <= 24; ++number) {
        for (const Op op : {Op::quantized_reduction, Op::loco_quantized_reduction}) {
            OpsCase of = ops_case(op, number, 36);
            of.devices = 70;
            of.groups = 140;
            of.out_groups = number % 2 == 0 ? 1 : 4;
            failures.add(compare(of));
        }
    }
    CHECK(failures.count() == 0);
}
