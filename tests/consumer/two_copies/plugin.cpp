// A second opforge in the process, linked statically: nothing of it may be seen from outside.
#include <opforge/base/log_sink.hpp>
#include <opforge/cache/digest.hpp>
#include <opforge/opforge.hpp>

#include <string>

extern "C" __attribute__((visibility("default"))) int plugin_quantizes() {
    float values[4] = {-2.0F, -1.0F, 0.25F, 2.0F};
    opforge::ds_quantizer({values, opforge::Dtype::float32, {4}, opforge::Device::cpu()}, 1, 8);
    return values[0] < -1.9F && values[0] > -2.1F ? 1 : 0;
}

// The level is this copy's own: the host's setting of the other one does not reach it.
extern "C" __attribute__((visibility("default"))) int plugin_log_level() {
    return static_cast<int>(opforge::log_level());
}

extern "C" __attribute__((visibility("default"))) int plugin_hashes() {
    return opforge::cache::sha256("abc").hex().starts_with("ba7816bf") ? 1 : 0;
}
