// `opforge explain`: why the cache has an op's programs, or field by field why not.
#include "session.hpp"
#include "target_list.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/explain.hpp>
#include <opforge/cache/layer_contents.hpp>
#include <opforge/driver/errors.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "explain", "Why the cache has an op's kernels, or field by field why not",
    "  opforge explain quantizer --arch sm_90\n"
    "      what a device of 9.0 would find, layer by layer, and what differs where it misses\n"
    "  opforge explain quantizer/dequantize_fp16 --arch sm_90 --json\n"
    "      one program, for scripts\n"
    "  opforge explain quantizer --arch sm_90 --expect-all-hits\n"
    "      a health check: exit code 1 if anything is missing\n"};

struct Options {
    std::string op;
    std::string architectures;
    std::string policy;
    bool expect_all_hits = false;
};

using builder::Explanation;
using builder::FieldDifference;
using builder::LayerExplanation;

void add_targets(std::set<builder::Target>& targets, const std::vector<cache::Listed>& entries,
                 const std::string& op) {
    for (const cache::Listed& entry : entries) {
        if (entry.manifest && entry.manifest->request.op == op) {
            targets.insert(builder::parse_target(entry.manifest->request.target));
        }
    }
}

// Every target that the cache has something of, for a machine with no device to ask.
std::vector<builder::Target> targets_of_cache(cache::Cache& cache, const std::string& op) {
    std::set<builder::Target> targets;
    for (const cache::LayerSpec& layer : cache.layers()) {
        add_targets(targets, cache::look_into(layer, false).entries, op);
    }
    std::error_code ignored;
    if (cache.directory() != nullptr && std::filesystem::exists(cache.root().path, ignored)) {
        add_targets(targets, cache.directory()->list(false), op);
    }
    return {targets.begin(), targets.end()};
}

std::vector<builder::Target> targets_to_explain(const Options& options,
                                                const builder::OpBuilder& builder) {
    try {
        return targets_to_prewarm(options.architectures);
    } catch (const NoDevice&) {
        auto targets = targets_of_cache(*builder.context().cache, builder.name());
        if (targets.empty() || !options.architectures.empty()) {
            throw;
        }
        return targets;
    }
}

Json or_null(const std::optional<std::string>& text) {
    return text ? Json(*text) : Json(nullptr);
}

Json differs_json(const std::vector<FieldDifference>& differs) {
    Json json = Json::array();
    for (const FieldDifference& difference : differs) {
        json.push_back({{"field", difference.field},
                        {"asked", or_null(difference.asked)},
                        {"found", or_null(difference.found)},
                        {"text", difference.text()}});
    }
    return json;
}

Json layer_json(const LayerExplanation& layer) {
    return {{"layer", layer.layer.string()},
            {"sealed", layer.sealed},
            {"hit", layer.hit},
            {"entry", layer.nearest.empty() ? Json(nullptr) : Json(layer.nearest.string())},
            {"differs", differs_json(layer.differs)}};
}

Json program_json(const Explanation& told) {
    Json json = {{"program", told.program}, {"target", told.target.name()}, {"hit", told.hit}};
    const LayerExplanation* layer = told.telling();
    json["differs"] = layer == nullptr ? Json::array() : differs_json(layer->differs);
    json["layers"] = Json::array();
    for (const LayerExplanation& one : told.layers) {
        json["layers"].push_back(layer_json(one));
    }
    return json;
}

std::string differs_text(const LayerExplanation& layer) {
    std::vector<std::string> texts;
    for (const FieldDifference& difference : layer.differs) {
        // Which program misses is said beside it.
        texts.push_back(difference.field == "program" && !difference.found
                            ? std::string("no entry of that program")
                            : difference.text());
    }
    return fmt::format("{}", fmt::join(texts, "; "));
}

/// Programs that a layer says the same of.
struct Group {
    std::string text;
    std::vector<std::string> programs;
};

void add_to(std::vector<Group>& groups, const std::string& text, const std::string& program) {
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&text](const Group& group) { return group.text == text; });
    if (found == groups.end()) {
        groups.push_back({text, {}});
        found = groups.end() - 1;
    }
    found->programs.push_back(program);
}

std::string layer_text(const std::vector<const Explanation*>& programs, std::size_t layer) {
    std::vector<Group> misses;
    std::size_t hits = 0;
    for (const Explanation* program : programs) {
        const LayerExplanation& one = program->layers[layer];
        if (one.hit) {
            ++hits;
        } else {
            add_to(misses, differs_text(one), program->program);
        }
    }
    const LayerExplanation& any = programs.front()->layers[layer];
    std::string text = fmt::format("  {}{}: {} of {} hit\n", any.layer.string(),
                                   any.sealed ? " (sealed)" : "", hits, programs.size());
    for (const Group& group : misses) {
        constexpr std::size_t kShown = 4;
        const auto end = group.programs.begin() +
                         static_cast<std::ptrdiff_t>(std::min(kShown, group.programs.size()));
        text += fmt::format("    {}\n      {}", group.text,
                            fmt::join(group.programs.begin(), end, ", "));
        text += group.programs.size() > kShown
                    ? fmt::format(" and {} more\n", group.programs.size() - kShown)
                    : "\n";
    }
    return text;
}

std::string text_of(const std::string& op, const std::vector<Explanation>& all) {
    std::string text;
    std::vector<builder::Target> seen;
    for (const Explanation& first : all) {
        if (std::find(seen.begin(), seen.end(), first.target) != seen.end()) {
            continue;
        }
        seen.push_back(first.target);
        std::vector<const Explanation*> programs;
        std::size_t hits = 0;
        for (const Explanation& one : all) {
            if (one.target == first.target) {
                programs.push_back(&one);
                hits += one.hit ? 1 : 0;
            }
        }
        text += fmt::format("{} for {}: {} of {} programs hit\n", op, first.target.name(), hits,
                            programs.size());
        if (first.layers.empty()) {
            text += "  there is no cache folder: every process compiles anew\n";
        }
        for (std::size_t layer = 0; layer < first.layers.size(); ++layer) {
            text += layer_text(programs, layer);
        }
    }
    return printable(text);
}

CommandResult explain(const Options& options, const Session& session) {
    builder::BuilderContext context = session.builder_context();
    if (!options.policy.empty()) {
        context.policy = cache::parse_policy(options.policy);
    }
    const std::size_t slash = options.op.find('/');
    const std::string op = options.op.substr(0, slash);
    const auto builder = session.catalog->make(op, context);
    std::vector<std::string> programs;
    if (slash != std::string::npos) {
        programs.push_back(options.op.substr(slash + 1));
    }
    const auto told = builder::explain(*builder, targets_to_explain(options, *builder), programs);
    CommandResult result;
    const auto hits = static_cast<std::size_t>(
        std::count_if(told.begin(), told.end(), [](const Explanation& one) { return one.hit; }));
    result.text = text_of(op, told);
    result.data = {{"op", op},
                   {"policy", cache::to_string(builder->policy())},
                   {"hits", hits},
                   {"misses", told.size() - hits},
                   {"programs", Json::array()}};
    for (const Explanation& one : told) {
        result.data["programs"].push_back(program_json(one));
    }
    if (options.expect_all_hits && hits < told.size()) {
        result.code = ExitCode::check_failed;
        result.problems.push_back(
            {"CheckFailed", fmt::format("{} of {} programs are not in the cache",
                                        told.size() - hits, told.size())});
    }
    return result;
}

}  // namespace

void add_explain(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("OP", options->op, "An op, or one program as OP/PROGRAM")
        ->option_text(" ")
        ->required()
        ->check(is_value);
    verb.add_option("--arch", options->architectures,
                    "As prewarm's; without a GPU, every target that the cache has entries for")
        ->option_text("LIST")
        ->check(is_value);
    verb.add_option("--policy", options->policy,
                    "exact, compatible or offline (else OPFORGE_POLICY, exact where there is an "
                    "NVRTC)")
        ->option_text("P")
        ->check(is_value);
    verb.add_flag("--expect-all-hits", options->expect_all_hits,
                  "Exit code 1 where a program misses");
    verb.callback([options, &session] {
        session.action = [options, &session] { return explain(*options, session); };
    });
}

}  // namespace opforge::tools
