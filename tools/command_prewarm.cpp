// `opforge prewarm`: compiles ops for a list of architectures into the cache. Needs no GPU and no
// driver.
#include "progress.hpp"
#include "session.hpp"
#include "target_list.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "prewarm", "Compile ops into the cache ahead of their first use; needs no GPU and no driver",
    "  opforge prewarm --arch sm_90\n"
    "      the kernels of every op for H100 and H200\n"
    "  opforge prewarm --arch sm_80,sm_90,sm_100,sm_120 --cache-dir /opt/kernels\n"
    "      a cache to ship in a container image\n"
    "  opforge prewarm --policy offline --arch sm_90\n"
    "      only check: exit code 8 where something would have to be compiled\n"};

struct Options {
    std::string architectures;
    std::vector<std::string> ops;
    std::string policy;
};

struct Item {
    std::string op;
    builder::BuildOutcome outcome;
};

struct Job {
    std::string op;
    std::string program;
    builder::Target target;
};

std::vector<Job> jobs_for(const Options& options, const builder::OpCatalog& catalog,
                          const builder::BuilderContext& context,
                          const std::vector<builder::Target>& targets) {
    std::vector<Job> jobs;
    std::set<std::pair<std::string, std::string>> seen;
    for (const std::string& op : options.ops.empty() ? catalog.names() : options.ops) {
        const auto builder = catalog.make(op, context);
        for (const builder::Target& asked : targets) {
            for (const builder::ProgramSpec& program : builder->programs()) {
                // sm_90 and sm_90a are one entry for a program that does not want the suffix.
                const builder::Target target = builder::lower(asked, program.wants);
                if (seen.emplace(op + "/" + program.name, target.name()).second) {
                    jobs.push_back({op, program.name, target});
                }
            }
        }
    }
    return jobs;
}

// A compile whose result could not be kept is a failure here: keeping it is all that was asked for.
void fail_unkept(builder::BuildOutcome& outcome, const cache::CacheRoot& root) {
    outcome.error_kind = "CacheError";
    outcome.error =
        root.path.empty()
            ? "there is no cache folder to keep it in: set --cache-dir or OPFORGE_CACHE_DIR"
            : fmt::format("the cache folder {} cannot be written: see the warning, or give "
                          "another with --cache-dir",
                          root.path.string());
}

std::vector<Item> build_all(const std::vector<Job>& jobs, const builder::OpCatalog& catalog,
                            builder::BuilderContext context) {
    const cache::CacheRoot& root = context.cache->root();
    std::vector<Item> items;
    StandardErrorProgress progress(jobs.size());
    bool refused = false;
    for (const Job& job : jobs) {
        progress.update(items.size(), fmt::format("{} for {}", job.program, job.target.name()));
        const auto builder = catalog.make(job.op, context);
        builder::BuildOutcome outcome = builder->build_program(job.target, job.program);
        const bool unkept = outcome.error.empty() && outcome.directory.empty();
        if (unkept || (refused && outcome.error_kind == "OfflineMiss")) {
            fail_unkept(outcome, root);
        }
        if (unkept && !refused) {
            // What is there may still be found; compiling more, only to lose it, helps nobody.
            refused = true;
            context.policy = cache::Policy::offline;
        }
        items.push_back({job.op, std::move(outcome)});
    }
    return items;
}

CommandResult result_of(const std::vector<Item>& items, double seconds) {
    CommandResult result;
    std::uint64_t compiled = 0;
    std::uint64_t hits = 0;
    std::uint64_t size_bytes = 0;
    Json entries = Json::array();
    std::vector<std::string> failures;
    for (const auto& [op, outcome] : items) {
        const std::string place =
            fmt::format("{}/{} for {}", op, outcome.program, outcome.target.name());
        if (!outcome.error.empty()) {
            failures.push_back(outcome.error_kind);
            result.problems.push_back({outcome.error_kind, outcome.error, place});
            continue;
        }
        ++(outcome.compiled ? compiled : hits);
        size_bytes += outcome.size_bytes;
        entries.push_back({{"op", op},
                           {"program", outcome.program},
                           {"target", outcome.target.name()},
                           {"path", outcome.directory.string()},
                           {"bytes", outcome.size_bytes},
                           {"compiled", outcome.compiled}});
    }
    result.code = exit_code_of_items(failures);
    result.text =
        fmt::format("{} compiled, {} already there, {} failed; {} in {}\n", compiled, hits,
                    failures.size(), format_size(size_bytes), format_duration(seconds));
    result.data = {{"compiled", compiled},
                   {"hits", hits},
                   {"failed", failures.size()},
                   {"seconds", seconds},
                   {"entries", std::move(entries)}};
    return result;
}

CommandResult prewarm(const Options& options, const Session& session) {
    const auto start = std::chrono::steady_clock::now();
    builder::BuilderContext context = session.builder_context();
    if (!options.policy.empty()) {
        context.policy = cache::parse_policy(options.policy);
    } else if (const auto policy = environment("OPFORGE_POLICY")) {
        // Read here once: a misspelt one is wrong usage, not a failure of each program.
        context.policy = cache::parse_policy(*policy);
    }
    context.compiler = builder::nvrtc_compiler();  // one for all jobs: it is opened once
    const std::vector<builder::Target> targets = targets_to_prewarm(options.architectures);
    const std::vector<Item> items =
        build_all(jobs_for(options, *session.catalog, context, targets), *session.catalog, context);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return result_of(items, taken.count());
}

}  // namespace

void add_prewarm(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("--arch", options->architectures,
                    "sm_90, 9.0a, 8.6+PTX, Hopper, native, all-major, ... "
                    "(else OPFORGE_ARCH, TORCH_CUDA_ARCH_LIST, native)")
        ->option_text("LIST")
        ->check(not_empty);
    verb.add_option("--ops", options->ops, "Only these ops")->delimiter(',')->option_text("LIST");
    verb.add_option("--policy", options->policy,
                    "exact, compatible or offline (else OPFORGE_POLICY, exact where there is an "
                    "NVRTC)")
        ->option_text("P")
        ->check(not_empty);
    verb.callback([options, &session] {
        session.action = [options, &session] { return prewarm(*options, session); };
    });
}

}  // namespace opforge::tools
