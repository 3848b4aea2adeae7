// CASE 0 compiles; each other one passes a kernel what it does not take.
#include <opforge/driver/kernel.hpp>

namespace {

void use(const opforge::driver::Kernel<void(const float*, float*, int)>& scale) {
    [[maybe_unused]] const float* input = nullptr;
    [[maybe_unused]] float* output = nullptr;
    [[maybe_unused]] const double* doubles = nullptr;
    [[maybe_unused]] long long many = 0;
#if CASE == 0
    scale({}, nullptr, input, output, 1);
    scale({}, nullptr, output, output, short{1});
#elif CASE == 1  // one too few
    scale({}, nullptr, input, output);
#elif CASE == 2  // one too many
    scale({}, nullptr, input, output, 1, 2);
#elif CASE == 3  // const is lost
    scale({}, nullptr, input, input, 1);
#elif CASE == 4  // another element
    scale({}, nullptr, doubles, output, 1);
#elif CASE == 5  // cut to 32 bits
    scale({}, nullptr, input, output, many);
#elif CASE == 6  // a fraction
    scale({}, nullptr, input, output, 1.5);
#elif CASE == 7  // in another order
    scale({}, nullptr, 1, input, output);
#endif
}

}  // namespace

int main() {
    static_cast<void>(&use);
}
