// Prewarming within this process; worker processes are tested with the tools.
#include "support/fake_compiler.hpp"
#include "support/temporary_directory.hpp"

#include "prewarm_workers.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/prewarm.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <stop_token>

namespace opforge::test {
namespace {

using namespace builder;
using Catch::Matchers::Contains;

struct Fixture {
    TemporaryDirectory folder;
    std::shared_ptr<FakeCompiler> compiler = std::make_shared<FakeCompiler>();
    OpCatalog catalog;
    BuilderContext context;
    PrewarmOptions options;

    Fixture() {
        catalog.add<QuantizerBuilder>("quantizer");
        context.compiler = compiler;
        context.policy = cache::Policy::exact;
        open_cache(folder.path() / "cache");
        options.jobs = jobs({"sm_90"});
    }
    void open_cache(const std::filesystem::path& path) {
        cache::CacheOptions of;
        of.directory = path;
        context.cache = std::make_shared<cache::Cache>(of);
    }
    [[nodiscard]] std::vector<PrewarmJob> jobs(const std::vector<std::string>& targets,
                                               const std::vector<std::string>& ops = {}) const {
        std::vector<Target> list;
        for (const std::string& target : targets) {
            list.push_back(parse_target(target));
        }
        return prewarm_jobs(catalog, context, ops, list);
    }
    [[nodiscard]] PrewarmResult run() const { return prewarm(catalog, context, options); }
};

std::size_t count_of(const PrewarmResult& result, const std::string& kind) {
    return static_cast<std::size_t>(
        std::count_if(result.items.begin(), result.items.end(),
                      [&](const PrewarmItem& item) { return item.outcome.error_kind == kind; }));
}

TEST_CASE("the jobs are each program for each target, once, without suffixes nobody wants",
          "[builder]") {
    const Fixture fixture;
    const std::size_t programs = QuantizerBuilder(fixture.context).programs().size();
    CHECK(fixture.options.jobs.size() == programs);
    CHECK(fixture.jobs({"sm_90", "sm_90a", "sm_80"}).size() == 2 * programs);
    const auto one = fixture.jobs({"sm_90a"}, {"quantizer/dequantize_fp16"});
    REQUIRE(one.size() == 1);
    CHECK(one[0].program == "dequantize_fp16");
    CHECK(one[0].target.name() == "sm_90");
    CHECK_THROWS_AS(fixture.jobs({"sm_90"}, {"quantiser"}), InvalidArgument);
    CHECK_THROWS_AS(fixture.jobs({"sm_90"}, {"quantizer/none"}), InvalidArgument);
}

TEST_CASE("there are as many workers as processors, and no more than fit in the memory",
          "[builder]") {
    constexpr std::uint64_t kMebibyte = 1024 * 1024;
    CHECK(workers_within({16, std::nullopt}) == 16);
    CHECK(workers_within({16, 65536 * kMebibyte}) == 16);
    CHECK(workers_within({16, 1024 * kMebibyte}) == 4);
    CHECK(workers_within({2, 1024 * kMebibyte}) == 2);
    CHECK(workers_within({16, 10 * kMebibyte}) == 1);
}

TEST_CASE("a first prewarm compiles everything, a second finds it", "[builder]") {
    Fixture fixture;
    const PrewarmResult first = fixture.run();
    REQUIRE(first.items.size() == fixture.options.jobs.size());
    CHECK(first.unfinished == 0);
    CHECK(fixture.compiler->compiles() == first.items.size());
    for (std::size_t i = 0; i < first.items.size(); ++i) {
        CHECK(first.items[i].job == fixture.options.jobs[i]);  // in the order asked for
        CHECK(first.items[i].outcome.compiled);
    }
    fixture.open_cache(fixture.folder.path() / "cache");
    const PrewarmResult second = fixture.run();
    CHECK(fixture.compiler->compiles() == first.items.size());
    CHECK(std::none_of(second.items.begin(), second.items.end(),
                       [](const PrewarmItem& item) { return item.outcome.compiled; }));
}

TEST_CASE("what takes longest is compiled first, by the times that the cache recorded",
          "[builder]") {
    Fixture fixture;
    static_cast<void>(fixture.run());  // the fake's compiles take 1 us each
    fixture.options.jobs = fixture.jobs(
        {"sm_80"}, {"quantizer/dequantize_fp16", "quantizer/loco_quantized_reduction_fp16_groups"});
    const QuantizerBuilder builder(fixture.context);
    // Recorded alike: the order asked for. In an empty cache: by what the op expects.
    static_cast<void>(fixture.run());
    const auto jobs = fixture.compiler->jobs();
    CHECK(jobs.back().program == "loco_quantized_reduction_fp16_groups");
    fixture.open_cache(fixture.folder.path() / "other");
    static_cast<void>(fixture.run());
    CHECK(fixture.compiler->jobs().back().program == "dequantize_fp16");
}

TEST_CASE("a program that does not compile is told with its log, the others are done",
          "[builder]") {
    Fixture fixture;
    fixture.compiler->fail("dequantize_fp16", "x.cu(3): error: bad");
    const PrewarmResult result = fixture.run();
    CHECK(count_of(result, "CompileError") == 1);
    CHECK(count_of(result, "") == result.items.size() - 1);
    const auto failed =
        std::find_if(result.items.begin(), result.items.end(),
                     [](const PrewarmItem& item) { return !item.outcome.error.empty(); });
    CHECK(failed->job.program == "dequantize_fp16");
    CHECK_THAT(failed->outcome.error, Contains("x.cu(3): error: bad"));
}

TEST_CASE("a target that no compiler knows is tried once, other targets are done", "[builder]") {
    Fixture fixture;
    fixture.compiler->set_supported({"sm_90"});
    fixture.options.jobs = fixture.jobs({"sm_80", "sm_90"});
    const PrewarmResult result = fixture.run();
    CHECK(count_of(result, "ToolchainNotFound") == result.items.size() / 2);
    CHECK(count_of(result, "") == result.items.size() / 2);
    CHECK(fixture.compiler->requirements() == result.items.size() / 2 + 1);
}

TEST_CASE("where nothing can be kept, no more than one compile is lost", "[builder]") {
    Fixture fixture;
    write_file(fixture.folder.path() / "file", "not a folder");
    fixture.open_cache(fixture.folder.path() / "file");
    CHECK(count_of(fixture.run(), "CacheError") == fixture.options.jobs.size());
    CHECK(fixture.compiler->compiles() == 1);
    cache::CacheOptions nowhere;
    nowhere.memory_only = true;
    fixture.context.cache = std::make_shared<cache::Cache>(nowhere);
    CHECK(count_of(fixture.run(), "CacheError") == fixture.options.jobs.size());
    CHECK(fixture.compiler->compiles() == 1);
}

TEST_CASE("policy offline compiles nothing", "[builder]") {
    Fixture fixture;
    fixture.context.policy = cache::Policy::offline;
    CHECK(count_of(fixture.run(), "OfflineMiss") == fixture.options.jobs.size());
    CHECK(fixture.compiler->compiles() == 0);
}

TEST_CASE("a stop leaves the rest undone and says how much that is", "[builder]") {
    Fixture fixture;
    std::stop_source stop;
    fixture.options.stop = stop.get_token();
    fixture.options.observer = [&stop](const PrewarmEvent&, const PrewarmProgress& progress) {
        if (progress.compiled == 5) {
            stop.request_stop();
        }
    };
    const PrewarmResult result = fixture.run();
    CHECK(result.items.size() == 5);
    CHECK(result.unfinished == fixture.options.jobs.size() - 5);
    fixture.options.stop = {};
    CHECK(fixture.run().unfinished == 0);
    CHECK(fixture.compiler->compiles() == fixture.options.jobs.size());
}

TEST_CASE("the observer hears of each job's begin and end, and what is running", "[builder]") {
    Fixture fixture;
    fixture.options.jobs.resize(3);
    std::vector<std::string> heard;
    std::size_t done = 0;
    fixture.options.observer = [&](const PrewarmEvent& event, const PrewarmProgress& progress) {
        CHECK(progress.total == 3);
        if (event.kind == PrewarmEvent::Kind::started) {
            heard.push_back("+" + event.job->program);
            REQUIRE(progress.running.size() == 1);
            CHECK(progress.running[0].job == *event.job);
        } else if (event.kind == PrewarmEvent::Kind::done) {
            heard.push_back("-" + event.job->program);
            CHECK(event.outcome->compiled);
            CHECK(progress.done() == ++done);
            CHECK(progress.remaining.has_value());
        }
    };
    static_cast<void>(fixture.run());
    CHECK(done == 3);
    REQUIRE(heard.size() == 6);
    CHECK(heard[0].substr(1) == heard[1].substr(1));
}

}  // namespace
}  // namespace opforge::test
