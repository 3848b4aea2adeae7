// `opforge cache clear`: everything that is cached.
#include "command_cache.hpp"
#include "removal.hpp"

#include <opforge/base/bytes.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <unistd.h>

namespace opforge::tools {
namespace {

constexpr VerbText kText{"clear", "Remove every entry; kernels are compiled anew when needed",
                         "  opforge cache clear --dry-run           what there is to remove\n"
                         "  opforge cache clear --yes               without a question\n"};

struct Options {
    bool dry_run = false;
    bool yes = false;
};

// Only a person is asked: what goes can be compiled again, and a script means what it says.
bool is_confirmed(const cache::Removal& planned, const cache::CacheRoot& root) {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) {
        return true;
    }
    std::cerr << fmt::format("Remove {} entries, {}, from {}? [y/N] ", planned.removed.entries,
                             format_size(planned.removed.bytes), root_text(root));
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

CommandResult clear(const Options& options, const Session& session) {
    const auto cache = session.open_cache();
    cache::Removal removal;
    bool dry_run = options.dry_run;
    if (cache->directory() != nullptr) {
        removal = cache->directory()->clear(true);
        dry_run = dry_run || !(options.yes || is_confirmed(removal, cache->root()));
        if (!dry_run) {
            removal = cache->directory()->clear(false);
        }
    }
    return removal_result(removal, cache->root(), dry_run);
}

}  // namespace

void add_cache_clear(CLI::App& cache, Session& session) {
    CLI::App& verb = add_verb(cache, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_flag("--dry-run", options->dry_run, "Say what would be removed, and remove nothing");
    verb.add_flag("--yes", options->yes, "Do not ask, also on a terminal");
    verb.callback([options, &session] {
        session.action = [options, &session] { return clear(*options, session); };
    });
}

}  // namespace opforge::tools
