// Calls what the blocks of docs/embedding_guide.md declare. Exit code 0: each did what the guide
// says.
#include "block_1.hpp"
#include "block_2.hpp"
#include "block_3.hpp"
#include "block_4.hpp"

#include <opforge/driver/errors.hpp>

#include <algorithm>

namespace {

int failures = 0;

void expect(bool good, const char* what) {
    std::printf("%s: %s\n", what, good ? "ok" : "wrong");
    failures += good ? 0 : 1;
}

std::vector<float> ramp() {
    std::vector<float> values(64);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(i) - 31.7F;
    }
    return values;
}

void allocator_is_asked() {
    std::vector<float> values = ramp();
    const Codes codes = quantize_to_codes(
        {values.data(), opforge::Dtype::float32, {16, 4}, opforge::Device::cpu()});
    expect(codes.memory.size() == 2 && codes.tensor.codes.data == codes.memory[0].get() &&
               codes.tensor.params.elements() == 16,
           "codes and steps are in the allocator's memory");
}

void warm_up_answers_or_says_what_is_missing() {
    try {
        expect(get_ready({}).get() > 0, "kernels are ready");
    } catch (const opforge::NoDevice& error) {
        std::printf("skipped the GPU: %s\n", error.what());
    }
    std::stop_source stop;
    stop.request_stop();
    try {
        expect(get_ready(stop.get_token()).get() == 0, "a stop token stops");
    } catch (const opforge::NoDevice&) {  // said above
    }
}

void a_lent_tensor_is_quantized_where_it_lies() {
    auto memory = std::make_shared<std::vector<float>>(ramp());
    const opforge::TensorView view{
        memory->data(), opforge::Dtype::float32, {64}, opforge::Device::cpu()};
    quantize_in_place(lend(view, memory), {});
    expect(*memory != ramp(), "the lender's memory is quantized");
    expect(memory.use_count() == 1, "the deleter let the memory go");
}

}  // namespace

int main() {
    allocator_is_asked();
    warm_up_answers_or_says_what_is_missing();
    a_lent_tensor_is_quantized_where_it_lies();
    configure();
    expect(opforge::log_level() == opforge::LogLevel::info, "the level is the host's");
    return failures;
}
