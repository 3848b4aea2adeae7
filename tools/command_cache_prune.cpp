// `opforge cache prune`: down to the cap, and what nobody will come back for.
#include "command_cache.hpp"
#include "removal.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "prune", "Remove the least recently used entries above the cap, and leftovers",
    "  opforge cache prune                     down to OPFORGE_CACHE_MAX_SIZE, else 1 GiB\n"
    "  opforge cache prune --max-size 200M --dry-run\n"
    "                                          what that would remove\n"};

struct Options {
    std::string max_size;
    bool dry_run = false;
};

CommandResult prune(const Options& options, const Session& session) {
    const auto cache = session.open_cache();
    cache::Removal removal;
    if (cache->directory() != nullptr) {
        cache::Limits limits = cache->directory()->options().limits;
        if (!options.max_size.empty()) {
            limits.max_bytes = cache::parse_size(options.max_size, "--max-size");
        }
        removal = cache->directory()->prune(options.dry_run, limits);
    }
    return removal_result(removal, cache->root(), options.dry_run);
}

}  // namespace

void add_cache_prune(CLI::App& cache, Session& session) {
    CLI::App& verb = add_verb(cache, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("--max-size", options->max_size,
                    "Bytes, or with K, M, G, T; 0: no cap (else OPFORGE_CACHE_MAX_SIZE; 1G)")
        ->option_text("SIZE")
        ->check(is_value);
    verb.add_flag("--dry-run", options->dry_run, "Say what would be removed, and remove nothing");
    verb.callback([options, &session] {
        session.action = [options, &session] { return prune(*options, session); };
    });
}

}  // namespace opforge::tools
