// `opforge cache show ENTRY`: one entry's whole manifest.
#include "command_cache.hpp"
#include "file_errors.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "show", "One entry's whole manifest",
    "  opforge cache show 3f2a       by any start of its name that is its alone\n"};

CommandResult show(const std::string& prefix, const Session& session) {
    const auto cache = session.open_cache();
    const std::vector<cache::Listed> entries = listed_entries(*cache, true);
    const cache::Listed* found = nullptr;
    std::size_t matches = 0;
    for (const cache::Listed& entry : entries) {
        if (entry.name.starts_with(prefix)) {
            found = &entry;
            ++matches;
        }
    }
    if (matches != 1) {
        throw InputError(cache->root().path,
                         fmt::format("{} entries have a name that begins with \"{}\"; opforge "
                                     "cache list shows the names",
                                     matches == 0 ? "no" : std::to_string(matches), prefix));
    }
    CommandResult result;
    result.data = entry_json(*found);
    if (!found->manifest) {
        result.code = ExitCode::check_failed;
        result.problems.push_back(
            {"IntegrityError", fmt::format("{}: {}", found->directory.string(), found->reason)});
        return result;
    }
    result.data["manifest"] = Json::parse(cache::to_canonical_json(*found->manifest));
    result.text =
        fmt::format("{}\n{}\n", found->directory.string(), result.data["manifest"].dump(2));
    return result;
}

}  // namespace

void add_cache_show(CLI::App& cache, Session& session) {
    CLI::App& verb = add_verb(cache, session, kText);
    const auto prefix = std::make_shared<std::string>();
    verb.add_option("ENTRY", *prefix, "The start of an entry's name")->option_text(" ")->required();
    verb.callback([prefix, &session] {
        session.action = [prefix, &session] { return show(*prefix, session); };
    });
}

}  // namespace opforge::tools
