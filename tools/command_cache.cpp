// `opforge cache VERB`: looking after the cached kernels.
#include "command_cache.hpp"

#include <CLI/CLI.hpp>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "cache", "Look after the cached kernels",
    "  opforge cache list            what there is\n"
    "  opforge cache show 3f2a       one entry's manifest, by the start of its name\n"
    "  opforge cache stats           how much there is, and in which layers\n"
    "  opforge cache verify          hash everything; exit code 1 if anything is bad\n"
    "  opforge cache prune           what is above the cap, and what nobody will come back for\n"
    "  opforge cache clear           everything\n"
    "  opforge cache seal DIR        make a folder a read-only layer, to be shipped\n"};

}  // namespace

void add_cache(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    verb.require_subcommand(1);
    add_cache_list(verb, session);
    add_cache_show(verb, session);
    add_cache_stats(verb, session);
    add_cache_verify(verb, session);
    add_cache_prune(verb, session);
    add_cache_clear(verb, session);
    add_cache_seal(verb, session);
}

}  // namespace opforge::tools
