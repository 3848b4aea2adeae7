#include <opforge/builder/prewarm.hpp>

#include "compile_times.hpp"
#include "context_defaults.hpp"
#include "prewarm_ledger.hpp"
#include "worker_lanes.hpp"

#include <opforge/base/log_sink.hpp>
#include <opforge/builder/profile.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace opforge::builder {
namespace {

class Run {
public:
    Run(const OpCatalog& catalog, const BuilderContext& context, const PrewarmOptions& options)
        : catalog_(catalog), context_(with_defaults(context)), options_(options),
          ledger_(options, context_.cache->root()) {}

    PrewarmResult operator()() {
        for (const PrewarmJob& job : options_.jobs) {
            note_in_profile(job);
        }
        find_hits();
        if (context_.cache->root().path.empty()) {
            ledger_.give_up_without_folder();
        }
        order();
        int workers = 0;
        if (options_.worker_command.empty()) {
            compile_here();
        } else if (!ledger_.waiting().empty()) {
            const WorkerSetup setup = worker_setup();
            const int wanted = options_.workers > 0 ? options_.workers : prewarm_workers();
            workers = WorkerLanes(options_.worker_command, setup, ledger_)
                          .run(static_cast<std::size_t>(wanted));
        }
        PrewarmResult result = std::move(ledger_).result();
        result.workers = workers;
        return result;
    }

private:
    [[nodiscard]] const OpBuilder& builder_of(const std::string& op) {
        auto& builder = builders_[op];
        if (!builder) {
            builder = catalog_.make(op, context_);
        }
        return *builder;
    }

    void find_hits() {
        for (const PrewarmJob& job : options_.jobs) {
            if (ledger_.is_stopping()) {
                return;
            }
            if (auto outcome = builder_of(job.op).find_program(job.target, job.program)) {
                ledger_.finish(job, *std::move(outcome));
            } else {
                ledger_.add(job);
            }
            ledger_.tick();
        }
    }

    void order() {
        if (ledger_.waiting().size() < 2) {
            return;
        }
        CompileTimes times;
        record_from_cache(times, *context_.cache);
        std::set<std::string> ops;
        for (const PrewarmJob& job : ledger_.waiting()) {
            ops.insert(job.op);
        }
        for (const std::string& op : ops) {
            for (const ProgramSpec& program : builder_of(op).programs()) {
                times.expect(op, program.name, program.expected_milliseconds);
            }
        }
        ledger_.order(std::move(times));
    }

    void compile_here() {
        while (!ledger_.waiting().empty() && !ledger_.is_stopping()) {
            const PrewarmJob job = ledger_.start_next();
            ledger_.finish(job, builder_of(job.op).build_program(job.target, job.program));
        }
    }

    [[nodiscard]] WorkerSetup worker_setup() const {
        WorkerSetup setup;
        setup.cache_root = context_.cache->root().path.string();
        setup.limits = context_.cache->directory()->options().limits;
        setup.policy = context_.policy;
        setup.log_level = log_level();
        if (context_.keep_directory) {
            setup.keep_directory = context_.keep_directory->string();
        }
        return setup;
    }

    const OpCatalog& catalog_;
    BuilderContext context_;
    const PrewarmOptions& options_;
    PrewarmLedger ledger_;
    std::map<std::string, std::unique_ptr<OpBuilder>> builders_;
};

}  // namespace

PrewarmResult prewarm(const OpCatalog& catalog, const BuilderContext& context,
                      const PrewarmOptions& options) {
    return Run(catalog, context, options)();
}

}  // namespace opforge::builder
