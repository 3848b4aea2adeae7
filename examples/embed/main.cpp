#include <opforge/opforge.hpp>

#include <cstdio>
#include <vector>

int main() {
    std::vector<float> weights = {-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 2.0F};
    opforge::ds_quantizer({weights.data(), opforge::Dtype::float32, {2, 4}, opforge::Device::cpu()},
                          /*groups=*/2, /*bit_num=*/4);  // in place, as DeepSpeed's
    for (const float value : weights) {
        std::printf("%g ", static_cast<double>(value));
    }
}
