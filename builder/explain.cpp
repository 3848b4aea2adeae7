#include <opforge/base/error.hpp>
#include <opforge/builder/explain.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

namespace opforge::builder {
namespace {

/// One layer's entries, by what their folders are named after and by program.
class LayerEntries {
public:
    explicit LayerEntries(cache::DirectoryStore& store) : root_(store.root()) {
        std::error_code ignored;
        // A cache that is not there yet is an empty one.
        if (std::filesystem::exists(root_, ignored)) {
            entries_ = store.list(true);
        }
        for (const cache::Listed& entry : entries_) {
            if (entry.manifest) {
                const cache::Request& request = entry.manifest->request;
                by_program_[{request.op, request.program}].push_back(&entry);
            }
        }
    }

    [[nodiscard]] const std::filesystem::path& root() const { return root_; }

    /// Those under the request's own key that a lookup would refuse.
    [[nodiscard]] const cache::Listed* unsound(const cache::Request& request) const {
        const std::string want = cache::want_digest(request).hex() + ".";
        for (const cache::Listed& entry : entries_) {
            if (!entry.manifest && entry.name.starts_with(want)) {
                return &entry;
            }
        }
        return nullptr;
    }

    [[nodiscard]] const std::vector<const cache::Listed*>&
    of_program(const cache::Request& request) const {
        static const std::vector<const cache::Listed*> none;
        const auto found = by_program_.find({request.op, request.program});
        return found == by_program_.end() ? none : found->second;
    }

private:
    std::filesystem::path root_;
    std::vector<cache::Listed> entries_;
    std::map<std::pair<std::string, std::string>, std::vector<const cache::Listed*>> by_program_;
};

// How far an entry is from what was asked: one of another target is further than any of the same,
// since each target has entries of its own.
std::size_t distance(const std::vector<FieldDifference>& differs) {
    constexpr std::size_t kOtherTarget = 1000;
    std::size_t sum = 0;
    for (const FieldDifference& difference : differs) {
        sum += difference.field == "target" ? kOtherTarget : 1;
    }
    return sum;
}

LayerExplanation explain_in(const LayerEntries& layer, const cache::Request& request,
                            const std::optional<cache::Toolchain>& toolchain) {
    LayerExplanation told;
    told.layer = layer.root();
    bool compared = false;
    for (const cache::Listed* entry : layer.of_program(request)) {
        auto differs = differences(request, toolchain, *entry->manifest);
        if (!compared || distance(differs) < distance(told.differs)) {
            told.nearest = entry->directory;
            told.differs = std::move(differs);
            compared = true;
        }
    }
    told.hit = compared && told.differs.empty();
    if (told.hit) {
        return told;
    }
    if (const cache::Listed* entry = layer.unsound(request)) {
        told.nearest = entry->directory;
        told.differs = {{"integrity", std::nullopt, entry->reason}};
    } else if (!compared) {
        told.differs = {{"program", request.program, std::nullopt}};
    }
    return told;
}

// What an entry has to have been made by, as the policy has it.
struct Demand {
    std::optional<cache::Toolchain> toolchain;
    bool impossible = false;  // policy exact, and no toolchain is known
};

Demand demand_of(const OpBuilder& builder) {
    if (builder.policy() != cache::Policy::exact) {
        return {};
    }
    Demand demand{builder.context().compiler->toolchain(), false};
    demand.impossible = !demand.toolchain.has_value();
    return demand;
}

Explanation explain_one(const OpBuilder& builder, const ProgramSpec& program, const Target& asked,
                        const std::vector<LayerEntries>& layers, const Demand& demand) {
    Explanation told;
    told.program = program.name;
    told.target = lower(asked, program.wants);
    const cache::Request request = builder.request(program, told.target);
    for (const LayerEntries& layer : layers) {
        LayerExplanation one = explain_in(layer, request, demand.toolchain);
        if (one.hit && demand.impossible) {
            one.hit = false;
            one.differs = {{"toolchain", std::string("none: policy exact, and no NVRTC was found"),
                            std::nullopt}};
        }
        told.hit = told.hit || one.hit;
        told.layers.push_back(std::move(one));
    }
    return told;
}

std::vector<ProgramSpec> programs_of(const OpBuilder& builder,
                                     const std::vector<std::string>& names) {
    if (names.empty()) {
        return builder.programs();
    }
    std::vector<ProgramSpec> programs;
    for (const std::string& name : names) {
        auto program = builder.program(name);
        if (!program) {
            throw InvalidArgument(
                fmt::format("explain {}: it has no program \"{}\"", builder.name(), name));
        }
        programs.push_back(*std::move(program));
    }
    return programs;
}

std::vector<LayerEntries> layers_of(cache::Cache& cache) {
    std::vector<LayerEntries> layers;
    if (cache.directory() != nullptr) {
        layers.emplace_back(*cache.directory());
    }
    return layers;
}

}  // namespace

const LayerExplanation* Explanation::telling() const noexcept {
    const LayerExplanation* best = nullptr;
    for (const LayerExplanation& layer : layers) {
        if (layer.hit) {
            return &layer;
        }
        const auto rank = [](const LayerExplanation& one) {
            return std::pair(one.nearest.empty(), distance(one.differs));
        };
        if (best == nullptr || rank(layer) < rank(*best)) {
            best = &layer;
        }
    }
    return best;
}

std::vector<Explanation> explain(const OpBuilder& builder, const std::vector<Target>& targets,
                                 const std::vector<std::string>& names) {
    const std::vector<ProgramSpec> programs = programs_of(builder, names);
    const std::vector<LayerEntries> layers = layers_of(*builder.context().cache);
    const Demand demand = demand_of(builder);
    std::vector<Explanation> told;
    for (const Target& target : targets) {
        for (const ProgramSpec& program : programs) {
            Explanation one = explain_one(builder, program, target, layers, demand);
            const bool seen = std::any_of(told.begin(), told.end(), [&](const Explanation& other) {
                return other.program == one.program && other.target == one.target;
            });
            if (!seen) {  // sm_90 and sm_90a may be one
                told.push_back(std::move(one));
            }
        }
    }
    return told;
}

}  // namespace opforge::builder
