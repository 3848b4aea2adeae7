// Suite 8 with the real compiler: many processes on an empty cache, each asking for every program.
// tests/reliability/stampede_test.cpp has the rounds with a compiler that is told how long to take.
#include "builder/usable_nvrtc.hpp"
#include "support/leave.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/builder/op_builder.hpp>
#include <opforge/builder/source_set.hpp>
#include <opforge/cache/digest.hpp>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace opforge;
using namespace opforge::builder;

namespace {

constexpr int kProcesses = 64;
constexpr int kPrograms = 24;

class ManyPrograms final : public OpBuilder {
public:
    explicit ManyPrograms(BuilderContext context) : OpBuilder(std::move(context)) {}
    [[nodiscard]] std::string name() const override { return "many"; }
    [[nodiscard]] std::vector<ProgramSpec> programs() const override {
        std::vector<ProgramSpec> all;
        for (int i = 0; i < kPrograms; ++i) {
            all.push_back({fmt::format("add_{}", i),
                           "add.cu",
                           {{"ADDEND", std::to_string(i)}},
                           {"add"},
                           Wants::none});
        }
        return all;
    }
    [[nodiscard]] const EmbeddedSources& embedded() const override { return sources_.embedded(); }

private:
    SourceSet sources_{
        {{{"add.cu", "extern \"C\" __global__ void add(int* x) { x[threadIdx.x] += ADDEND; }\n"}},
         {},
         {}}};
};

// How many programs the process compiled itself, and the digest of all that it was given.
std::string ask_for_all(const std::filesystem::path& root, unsigned seed) {
    BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{root, false});
    const ManyPrograms op(context);
    std::vector<std::string> names;
    for (const ProgramSpec& program : op.programs()) {
        names.push_back(program.name);
    }
    std::shuffle(names.begin(), names.end(), std::minstd_rand(seed));
    int compiled = 0;
    std::set<std::string> given;
    for (const std::string& name : names) {
        const BuildOutcome outcome = op.build_program(parse_target("sm_90"), name);
        if (!outcome.error.empty()) {
            return outcome.error;
        }
        compiled += outcome.compiled ? 1 : 0;
        given.insert(name + test::read_file(outcome.directory / "kernels.cubin"));
    }
    std::string all;
    for (const std::string& one : given) {
        all += one;
    }
    return fmt::format("{} {}", compiled, cache::sha256(all).hex());
}

}  // namespace

TEST_CASE("64 processes on 24 programs of an empty cache have NVRTC compile each once", "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory directory;
    const auto answer_of = [&](unsigned process) {
        return directory.path() / fmt::format("answer_{}", process);
    };
    // Forked by the one thread there is, and nobody waited for before all are on their way.
    std::vector<pid_t> children;
    for (unsigned i = 0; i < kProcesses; ++i) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::alarm(120);  // a deadlock ends with a signal
            try {
                test::write_file(answer_of(i), ask_for_all(directory.path() / "root", i));
            } catch (const std::exception&) {
                test::leave(1);
            }
            test::leave(0);
        }
        children.push_back(child);
    }
    int compiled = 0;
    std::set<std::string> digests;
    for (unsigned i = 0; i < kProcesses; ++i) {
        int status = 0;
        REQUIRE(::waitpid(children[i], &status, 0) == children[i]);
        CHECK(status == 0);
        const std::string answer = test::read_file(answer_of(i));
        CAPTURE(answer);
        std::istringstream words(answer);
        int own = -1;
        std::string digest;
        words >> own >> digest;
        REQUIRE(own >= 0);
        compiled += own;
        digests.insert(digest);
    }
    CHECK(compiled == kPrograms);
    CHECK(digests.size() == 1);
}
