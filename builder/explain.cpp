#include "devices_here.hpp"
#include "layer_entries.hpp"
#include "opened_device.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/explain.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opforge::builder {
namespace {

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

// What an entry has to have been made by, as a policy has it.
struct Demand {
    Demand(const OpBuilder& builder, cache::Policy policy) {
        if (policy == cache::Policy::exact) {
            toolchain = builder.context().compiler->toolchain();
            impossible = !toolchain.has_value();
        }
    }
    std::optional<cache::Toolchain> toolchain;
    bool impossible = false;  // policy exact, and no toolchain is known
};

class Explainer {
public:
    explicit Explainer(const OpBuilder& builder)
        : builder_(builder), layers_(layers_of(*builder.context().cache)),
          devices_(builder.context()), demand_(builder, builder.policy()),
          sealed_demand_(builder, builder.sealed_policy()) {}

    [[nodiscard]] Explanation operator()(const ProgramSpec& program, const Target& asked) const {
        Explanation told;
        told.program = program.name;
        told.target = lower(asked, program.wants);
        const cache::Request request = builder_.request(program, told.target);
        const int driver_version = devices_.driver_for(told.target);
        for (const LayerEntries& layer : layers_) {
            told.layers.push_back(explain_in(layer, request, driver_version));
            told.hit = told.hit || told.layers.back().hit;
        }
        return told;
    }

private:
    [[nodiscard]] LayerExplanation
    explain_in(const LayerEntries& layer, const cache::Request& request, int driver_version) const {
        LayerExplanation told;
        told.layer = layer.root();
        told.sealed = layer.sealed();
        if (!layer.fault().empty()) {
            told.differs = {{"layer", std::nullopt, layer.fault()}};
            return told;
        }
        const Demand& demand = layer.sealed() ? sealed_demand_ : demand_;
        bool compared = false;
        for (const cache::Listed* entry : layer.of_program(request)) {
            auto differs = differences(request, demand.toolchain, *entry->manifest);
            add_driver(differs, *entry->manifest, driver_version);
            if (!compared || distance(differs) < distance(told.differs)) {
                told.nearest = entry->directory;
                told.differs = std::move(differs);
                compared = true;
            }
        }
        told.hit = compared && told.differs.empty() && !demand.impossible;
        if (told.hit) {
            return told;
        }
        if (compared && told.differs.empty()) {
            told.differs = {{"toolchain", std::string("none: policy exact, and no NVRTC was found"),
                             std::nullopt}};
        } else if (const cache::Listed* entry = layer.unsound(request)) {
            told.nearest = entry->directory;
            told.differs = {{"integrity", std::nullopt, entry->reason}};
        } else if (!compared) {
            told.differs = {{"program", request.program, std::nullopt}};
        }
        return told;
    }

    // Where a device here would be given the entry, its driver has to load it.
    static void add_driver(std::vector<FieldDifference>& differs, const cache::Manifest& manifest,
                           int driver_version) {
        if (driver_version > 0 && manifest.minimum_driver > driver_version) {
            differs.push_back({"driver", driver_version_text(driver_version),
                               driver_version_text(manifest.minimum_driver)});
        }
    }

    const OpBuilder& builder_;
    std::vector<LayerEntries> layers_;
    DevicesHere devices_;
    Demand demand_;
    Demand sealed_demand_;
};

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
    const Explainer explain_one(builder);
    std::vector<Explanation> told;
    for (const Target& target : targets) {
        for (const ProgramSpec& program : programs) {
            Explanation one = explain_one(program, target);
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
