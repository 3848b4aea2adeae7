#include "fake_quantize_task.hpp"

namespace opforge::runtime {

float FakeQuantizeTask::levels() const noexcept {
    return static_cast<float>(1 << bits);
}

float FakeQuantizeTask::code_min() const noexcept {
    return asymmetric ? 0.0F : -static_cast<float>(1 << (bits - 1));
}

float FakeQuantizeTask::code_max() const noexcept {
    return static_cast<float>((asymmetric ? 1 << bits : 1 << (bits - 1)) - 1);
}

}  // namespace opforge::runtime
