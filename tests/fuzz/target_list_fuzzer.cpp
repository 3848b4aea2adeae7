// Target lists come from the environment. What a list gives can be spelt, and the spelling means
// the same again.
#include "fuzz.hpp"

#include <opforge/builder/target.hpp>

#include <algorithm>
#include <vector>

namespace {

using opforge::builder::Target;

const std::vector<std::string>& seeds() {
    static const std::vector<std::string> all = {"sm_80,sm_90a;sm_100f compute_120", "8.6+PTX;9.0a",
                                                 "Ampere;Hopper+PTX native", "all-major\t120f, 90"};
    return all;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned random) {
    return opforge::fuzz::mutate_from_seeds(seeds(), data, size, max_size, random);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = opforge::fuzz::as_text(data, size);
    opforge::fuzz::taken([&] {
        const std::vector<Target> targets = opforge::builder::parse_targets(
            text, {{opforge::builder::parse_target("sm_90")},
                   {opforge::builder::parse_target("sm_80"),
                    opforge::builder::parse_target("compute_120")}});
        opforge::fuzz::require(!targets.empty(), "a list that is taken names a target");
        for (std::size_t i = 0; i < targets.size(); ++i) {
            opforge::fuzz::require(opforge::builder::parse_target(targets[i].name()) == targets[i],
                                   "a target's name parses to the target");
            opforge::fuzz::require(std::count(targets.begin(), targets.end(), targets[i]) == 1,
                                   "a list names a target once");
        }
    });
    return 0;
}
