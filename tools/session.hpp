// One run of the program: what the command line asked for, and the verb that will answer.
#pragma once

#include "color.hpp"
#include "output.hpp"

#include <opforge/builder/op_catalog.hpp>
#include <opforge/cache/cache.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace opforge::tools {

struct Session {
    /// `ops` must outlive the session.
    explicit Session(const builder::OpCatalog& ops) : catalog(&ops) {}

    const builder::OpCatalog* catalog;  // the ops that the verbs know
    std::string program = "opforge";    // its name, as it was started
    std::vector<std::string> command_line;
    bool json = false;
    bool json_stream = false;  // of the verbs that have it: events, then the result as the last one
    bool quiet = false;        // a process of our own making: its starter has said what there is to
    std::string cache_dir;     // empty: as the environment says
    std::string log_level;     // empty: as the environment says
    std::string color = "auto";
    std::function<CommandResult()> action;

    [[nodiscard]] cache::CacheOptions cache_options() const;
    /// A cache of the session's own, where --cache-dir asks for one, else the process's.
    /// @throws InvalidArgument for a relative --cache-dir
    [[nodiscard]] std::shared_ptr<cache::Cache> open_cache() const;
    /// Whether standard output, or standard error, is to be coloured.
    [[nodiscard]] bool color_output() const;
    [[nodiscard]] bool color_errors() const;
    /// For builders, and for runtime::configure_quantizer.
    [[nodiscard]] builder::BuilderContext builder_context() const;
};

/// What the help says of a verb. `examples` stand above the options.
struct VerbText {
    const char* name;
    const char* description;
    const char* examples;
};
/// For CLI11's check(): refuses "", which a shell makes of a variable that is not set, and must not
/// be taken for an option that was not given; and what looks like an option (`--arch --json`),
/// which CLI11 would take for the value.
[[nodiscard]] std::string is_value(const std::string& value);

/// Adds a verb with the options that all have (--json, --cache-dir, --log-level).
CLI::App& add_verb(CLI::App& parent, Session& session, const VerbText& text);

// Each adds one verb, which sets session.action once it is chosen. `session` must outlive the
// parsing and the action.
void add_demo(CLI::App& app, Session& session);
void add_quantize(CLI::App& app, Session& session);
void add_prewarm(CLI::App& app, Session& session);
void add_explain(CLI::App& app, Session& session);
void add_report(CLI::App& app, Session& session);
void add_record(CLI::App& app, Session& session);
void add_cache(CLI::App& app, Session& session);
void add_completion(CLI::App& app, Session& session);

}  // namespace opforge::tools
