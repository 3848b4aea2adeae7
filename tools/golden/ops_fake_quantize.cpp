#include "runners.hpp"

#include <opforge/runtime/ds_quantizer.hpp>

namespace opforge::golden {

Tensors run_ds_quantizer(const Case& of, const Place& place) {
    const std::int64_t groups = integer(of, "groups");
    const int bits = small_integer(of, "bits");
    const bool stochastic = flag(of, "sr");
    const bool asymmetric = flag(of, "asym");
    runtime::CallOptions options;
    if (stochastic) {
        options.random =
            runtime::RandomState{unsigned_integer(of, "seed"), unsigned_integer(of, "offset")};
    }
    const Place::Copy tensor(place, input(of, "input"));
    runtime::ds_quantizer(tensor.view(), groups, bits, stochastic, asymmetric, options);
    Tensors outputs;
    outputs.emplace("output", tensor.read());
    return outputs;
}

}  // namespace opforge::golden
