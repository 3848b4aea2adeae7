// `opforge prewarm`: compiles ops for a list of architectures into the cache, in worker processes.
// Needs no GPU and no driver.
#include "number_argument.hpp"
#include "prewarm_display.hpp"
#include "prewarm_report.hpp"
#include "profile_file.hpp"
#include "session.hpp"
#include "stop_on_signal.hpp"
#include "target_list.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/shell_words.hpp>
#include <opforge/builder/prewarm.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "prewarm", "Compile ops into the cache ahead of their first use; needs no GPU and no driver",
    "  opforge prewarm --arch sm_90\n"
    "      the kernels of every op for H100 and H200\n"
    "  opforge prewarm --arch 8.0,9.0a,10.0f,12.0+PTX --cache-dir /opt/kernels\n"
    "      a cache to ship in a container image\n"
    "  opforge prewarm --arch sm_90 --ops quantizer/dequantize_fp16\n"
    "      one program of one op\n"
    "  opforge prewarm --profile service.jsonl\n"
    "      what `opforge record` noted of a run\n"
    "  opforge prewarm --policy offline --arch sm_90\n"
    "      only check: exit code 8 where something would have to be compiled\n"};

struct Options {
    std::string architectures;
    std::vector<std::string> ops;
    std::string profile;
    std::string policy;
    std::optional<std::string> jobs;
    std::string progress = "auto";
    bool worker = false;
};

builder::BuilderContext context_of(const Options& options, const Session& session) {
    builder::BuilderContext context = session.builder_context();
    if (!options.policy.empty()) {
        context.policy = cache::parse_policy(options.policy);
    } else if (const auto policy = environment("OPFORGE_POLICY")) {
        // Read here once: a misspelt one is wrong usage, not a failure of each program.
        context.policy = cache::parse_policy(*policy);
    }
    context.compiler =
        builder::nvrtc_compiler(context.cache->root().path);  // one for all: it is opened once
    return context;
}

int workers_of(const Options& options) {
    return options.jobs ? parse_number("--jobs", *options.jobs, 1, std::numeric_limits<int>::max())
                        : builder::prewarm_workers();
}

std::vector<builder::PrewarmJob> jobs_of(const Options& options, const builder::OpCatalog& catalog,
                                         const builder::BuilderContext& context) {
    if (options.profile.empty()) {
        return builder::prewarm_jobs(catalog, context, options.ops,
                                     targets_to_prewarm(options.architectures));
    }
    // The recorded targets, unless others are named here: what the environment names is for a
    // prewarm of everything.
    const auto targets = options.architectures.empty() ? std::vector<builder::Target>{}
                                                       : targets_to_prewarm(options.architectures);
    return builder::profile_jobs(catalog, context, read_profile(options.profile), targets);
}

CommandResult prewarm(const Options& options, const Session& session) {
    const auto start = std::chrono::steady_clock::now();
    const auto display = session.json_stream ? std::make_unique<EventDisplay>(std::cout)
                                             : make_display(options.progress);
    const builder::BuilderContext context = context_of(options, session);
    StopOnSignal stop;
    builder::PrewarmOptions work;
    work.workers = workers_of(options);
    work.jobs = jobs_of(options, *session.catalog, context);
    work.worker_command = {"/proc/self/exe", kText.name, "--worker"};
    work.stop = stop.token();
    work.observer = [&](const auto& event, const auto& progress) {
        stop.look();
        if (display) {
            display->update(event, progress);
        }
    };
    const builder::PrewarmResult result = builder::prewarm(*session.catalog, context, work);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    CommandResult report = prewarm_report(result, taken.count());
    if (stop.stopped() && result.unfinished > 0) {
        add_interruption(report, result, stop.exit_code(), context.cache->root().path.string(),
                         shell_words(session.command_line));
    }
    return report;
}

}  // namespace

void add_prewarm(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("--arch", options->architectures,
                    "sm_90, 9.0a, 8.6+PTX, Hopper, native, all-major, ... "
                    "(else OPFORGE_ARCH, TORCH_CUDA_ARCH_LIST, native)")
        ->option_text("LIST")
        ->check(is_value);
    CLI::Option* ops =
        verb.add_option("--ops", options->ops, "Only these ops, or programs as OP/PROGRAM");
    ops->delimiter(',')->option_text("LIST")->check(is_value);
    verb.add_option("--profile", options->profile,
                    "What a run recorded (opforge record), for its targets or those of --arch")
        ->option_text("FILE")
        ->check(is_value)
        ->excludes(ops);
    verb.add_option("--policy", options->policy,
                    "exact, compatible or offline (else OPFORGE_POLICY, exact where there is an "
                    "NVRTC)")
        ->option_text("P")
        ->check(is_value);
    verb.add_option("-j,--jobs", options->jobs,
                    "Worker processes (else OPFORGE_JOBS, MAX_JOBS, the processors and the memory "
                    "there are, cgroups counted)")
        ->option_text("N")
        ->check(is_value);
    verb.add_option("--progress", options->progress,
                    "auto (a bar on a terminal, else lines), plain, none, json; on standard error")
        ->option_text("MODE")
        ->check(is_value);
    verb.add_flag("--json-stream", session.json_stream,
                  "JSON events on standard output, one a line; the last is the result");
    // Of prewarm itself: a process that compiles.
    verb.add_flag("--worker", options->worker)->group("");
    verb.callback([options, &session] {
        session.quiet = options->worker;
        session.action = [options, &session] {
            if (options->worker) {
                builder::serve_prewarm(*session.catalog);
                return CommandResult{};
            }
            return prewarm(*options, session);
        };
    });
}

}  // namespace opforge::tools
