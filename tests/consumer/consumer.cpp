// What a host does with opforge, whichever way it got it: quantizes, catches a typed error that
// crosses the library's border, takes the library's messages. Prints "consumer: ok" where all of it
// holds.
#include <opforge/opforge.hpp>

#include <opforge/base/log_sink.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

bool quantizes() {
    std::vector<float> values = {-2.0F, -1.0F, 0.25F, 2.0F};
    const opforge::TensorView tensor{
        values.data(), opforge::Dtype::float32, {4}, opforge::Device::cpu()};
    opforge::ds_quantizer(tensor, 1, 8);
    return values[0] < -1.9F && values[0] > -2.1F && values[2] > 0.2F && values[2] < 0.3F;
}

bool catches() {
    double value = 1.0;
    const opforge::TensorView tensor{&value, opforge::Dtype::float64, {1}, opforge::Device::cpu()};
    try {
        opforge::ds_quantizer(tensor);
    } catch (const opforge::UnsupportedDtype& error) {
        return std::string(error.what()).find("float64") != std::string::npos;
    }
    return false;
}

bool logs() {
    std::string last;
    opforge::set_log_sink([&](opforge::LogLevel, std::string_view text) { last = text; });
    opforge::log(opforge::LogLevel::warning, "to the host");
    opforge::set_log_sink({});
    return last == "to the host";
}

}  // namespace

int main() {
    if (!quantizes() || !catches() || !logs()) {
        std::printf("consumer: quantizes %d, catches %d, logs %d\n", quantizes(), catches(),
                    logs());
        return 1;
    }
    std::printf("consumer: ok\n");
    return 0;
}
