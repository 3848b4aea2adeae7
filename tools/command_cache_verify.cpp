// `opforge cache verify [DIR]`: is everything that is cached sound, sealed as it was, and complete.
#include "command_cache.hpp"
#include "file_errors.hpp"
#include "target_list.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/error.hpp>
#include <opforge/builder/prewarm.hpp>
#include <opforge/cache/seal.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "verify", "Check every manifest and hash every artifact; changes nothing",
    "  opforge cache verify                    exit code 1, and the names of the bad entries, if "
    "any is bad\n"
    "  opforge cache verify /opt/kernels --expect-all-hits --arch sm_80,sm_90\n"
    "                                          also: would every op be served from that layer "
    "alone\n"};

struct Options {
    std::string folder;
    bool shared = false;
    std::string sha256;
    bool expect_all_hits = false;
    std::string architectures;
    std::vector<std::string> ops;
};

// The folder to check; empty where there is no cache folder at all.
std::filesystem::path folder_to_check(const Options& options, const Session& session) {
    if (!options.folder.empty()) {
        const std::filesystem::path folder = existing_folder(options.folder);
        if (!std::filesystem::is_directory(folder / "v1")) {
            throw InputError(folder, "it is no kernel cache: it has no folder v1");
        }
        return folder;
    }
    const std::filesystem::path root = session.open_cache()->root().path;
    return session.cache_dir.empty() ? root : existing_folder(root.string());
}

cache::LayerSpec layer_of(const std::filesystem::path& folder, const Options& options) {
    cache::LayerSpec layer;
    layer.path = folder;
    layer.shared = options.shared;
    if (!options.sha256.empty()) {
        layer.sha256 = cache::Digest::from_hex(options.sha256);
        if (!layer.sha256) {
            throw InvalidArgument(
                fmt::format("--sha256 \"{}\": it takes 64 lower-case hex digits", options.sha256));
        }
    }
    return layer;
}

void check_entries(const cache::LayerSpec& layer, CommandResult& result) {
    Json bad = Json::array();
    std::uint64_t size_bytes = 0;
    std::vector<cache::Listed> entries;
    cache::SealCheck seal;
    if (std::filesystem::exists(layer.path)) {
        cache::StoreOptions store;
        store.read_only = true;
        store.shared = layer.shared;
        entries = cache::DirectoryStore(layer.path, cache::posix_file_system(), store).list(true);
        // A cache that nothing was published into yet has no layout to read a list from.
        if (std::filesystem::exists(layer.path / "v1") || layer.sha256) {
            seal = cache::check_seal(layer.path, layer.shared, layer.sha256);
        }
    }
    for (const cache::Listed& entry : entries) {
        size_bytes += entry.size_bytes;
        if (!entry.manifest) {
            bad.push_back(entry_json(entry));
            result.problems.push_back({"IntegrityError", entry.reason, entry.name});
        }
    }
    for (const cache::SealFault& fault : seal.faults) {
        bad.push_back({{"name", fault.subject}, {"sound", false}, {"reason", fault.reason}});
        result.problems.push_back({"IntegrityError", fault.reason, fault.subject});
    }
    result.text = fmt::format("{} entries verified, {} bad; {}{} in {}\n", entries.size(),
                              bad.size(), format_size(size_bytes), seal.sealed ? ", sealed," : "",
                              layer.path.empty() ? "no cache folder" : layer.path.string());
    result.data = {{"root", layer.path.string()},
                   {"entries", entries.size()},
                   {"bytes", size_bytes},
                   {"sealed", seal.sealed},
                   {"bad", std::move(bad)}};
}

// Asks for every program as a process would that may not compile and has this layer alone.
void check_hits(const cache::LayerSpec& layer, const Options& options, const Session& session,
                CommandResult& result) {
    cache::CacheOptions cache;
    cache.memory_only = true;
    cache.layers = {layer};
    builder::BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache);
    context.policy = cache::Policy::offline;
    builder::PrewarmOptions work;
    work.jobs = builder::prewarm_jobs(*session.catalog, context, options.ops,
                                      targets_to_prewarm(options.architectures));
    Json missing = Json::array();
    for (const auto& [job, outcome] : builder::prewarm(*session.catalog, context, work).items) {
        if (!outcome.error.empty()) {
            missing.push_back(
                {{"op", job.op}, {"program", job.program}, {"target", job.target.name()}});
            result.problems.push_back(
                {"CheckFailed", "it would not be served from this layer",
                 fmt::format("{}/{} for {}", job.op, job.program, job.target.name())});
        }
    }
    result.text +=
        fmt::format("{} programs expected, {} missing\n", work.jobs.size(), missing.size());
    result.data["expected"] = work.jobs.size();
    result.data["missing"] = std::move(missing);
}

CommandResult verify(const Options& options, const Session& session) {
    const cache::LayerSpec layer = layer_of(folder_to_check(options, session), options);
    CommandResult result;
    check_entries(layer, result);
    if (options.expect_all_hits) {
        check_hits(layer, options, session, result);
    }
    result.code = result.problems.empty() ? ExitCode::done : ExitCode::check_failed;
    return result;
}

}  // namespace

void add_cache_verify(CLI::App& cache, Session& session) {
    CLI::App& verb = add_verb(cache, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("DIR", options->folder, "A layer (else the cache folder)")
        ->option_text(" ")
        ->check(is_value);
    verb.add_flag("--shared", options->shared, "It belongs to another user, who is trusted");
    verb.add_option("--sha256", options->sha256, "What its list of digests must hash to")
        ->option_text("HEX")
        ->check(is_value);
    CLI::Option* const all = verb.add_flag("--expect-all-hits", options->expect_all_hits,
                                           "Also fail where a program of an op is missing");
    verb.add_option("--arch", options->architectures,
                    "Targets that must be there, as for prewarm (else OPFORGE_ARCH, native)")
        ->option_text("LIST")
        ->check(is_value)
        ->needs(all);
    verb.add_option("--ops", options->ops, "Only these ops, or programs as OP/PROGRAM")
        ->delimiter(',')
        ->option_text("LIST")
        ->check(is_value)
        ->needs(all);
    verb.callback([options, &session] {
        session.action = [options, &session] { return verify(*options, session); };
    });
}

}  // namespace opforge::tools
