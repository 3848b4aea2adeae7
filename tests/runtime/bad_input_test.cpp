// Arguments that no call takes: a typed error that names what was asked and what to do, and not a
// byte written.
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/errors.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace runtime = opforge::runtime;
using opforge::InvalidArgument;
using opforge::UnsupportedDtype;
using runtime::CallOptions;
using runtime::Device;
using runtime::Dtype;
using runtime::Shape;
using runtime::TensorView;

namespace {

// Sixty-four floats' worth of memory in which every byte is watched.
struct Memory {
    alignas(64) std::array<std::byte, 256> input{};
    alignas(64) std::array<std::byte, 256> output{};
    Memory() {
        for (std::size_t i = 0; i < input.size(); ++i) {
            input[i] = static_cast<std::byte>(i * 7);
            output[i] = static_cast<std::byte>(i * 11);
        }
    }
};

struct Refusal {
    std::string kind;
    std::string text;
    bool untouched = false;
};

// What the call throws, and whether the memory is as it was.
Refusal refusal(Memory& memory, const std::function<void()>& call) {
    const Memory before = memory;
    Refusal result{"none", "", false};
    try {
        call();
    } catch (const opforge::Error& error) {
        result.kind = error.kind();
        result.text = error.what();
    }
    result.untouched = memory.input == before.input && memory.output == before.output;
    return result;
}

TensorView floats(Memory& memory) {
    return {memory.input.data(), Dtype::float32, Shape{4, 16}, Device::cpu()};
}
TensorView output_floats(Memory& memory) {
    return {memory.output.data(), Dtype::float32, Shape{4, 16}, Device::cpu()};
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a dtype that the op does not take is refused by name", "[runtime][bad_input]") {
    struct Row {
        Dtype dtype;
        std::int64_t elements;
        const char* name;
    };
    for (const Row row : {Row{Dtype::int32, 64, "int32"}, Row{Dtype::float64, 32, "float64"},
                          Row{Dtype::int8, 256, "int8"}, Row{Dtype::int64, 32, "int64"},
                          Row{Dtype::boolean, 256, "bool"}}) {
        Memory memory;
        const TensorView tensor{memory.input.data(), row.dtype, Shape{row.elements}, Device::cpu()};
        for (const bool stochastic : {false, true}) {
            for (const bool asymmetric : {false, true}) {
                const Refusal got = refusal(
                    memory, [&] { runtime::ds_quantizer(tensor, 1, 8, stochastic, asymmetric); });
                CHECK(got.kind == "UnsupportedDtype");
                CHECK_THAT(got.text, Contains(row.name) && Contains("float16") &&
                                         Contains("bfloat16") && Contains("float32"));
                CHECK(got.untouched);
            }
        }
    }
}

TEST_CASE("an unsupported dtype is also an invalid argument", "[runtime][bad_input]") {
    Memory memory;
    const TensorView tensor{memory.input.data(), Dtype::int32, Shape{64}, Device::cpu()};
    CHECK_THROWS_AS(runtime::ds_quantizer(tensor), InvalidArgument);
    CHECK_THROWS_AS(runtime::ds_quantizer(tensor), UnsupportedDtype);
}

TEST_CASE("a bit width outside 2 to 16 is refused", "[runtime][bad_input]") {
    for (const int bits :
         {0, 1, 17, -4, 32, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
        Memory memory;
        const Refusal got =
            refusal(memory, [&] { runtime::ds_quantizer(floats(memory), 1, bits); });
        CHECK(got.kind == "InvalidArgument");
        CHECK_THAT(got.text, Contains(std::to_string(bits)) && Contains("2") && Contains("16"));
        CHECK(got.untouched);
    }
}

TEST_CASE("a group count that is not positive, or does not divide, is refused",
          "[runtime][bad_input]") {
    for (const std::int64_t groups :
         {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
        Memory memory;
        const Refusal got = refusal(memory, [&] { runtime::ds_quantizer(floats(memory), groups); });
        CHECK(got.kind == "InvalidArgument");
        CHECK_THAT(got.text, Contains(std::to_string(groups)) && Contains("groups"));
        CHECK(got.untouched);
    }
    for (const std::int64_t groups :
         {std::int64_t{3}, std::int64_t{65}, std::numeric_limits<std::int64_t>::max()}) {
        Memory memory;
        const Refusal got = refusal(memory, [&] { runtime::ds_quantizer(floats(memory), groups); });
        CHECK(got.kind == "InvalidArgument");
        CHECK_THAT(got.text, Contains(std::to_string(groups)) && Contains("64"));
        CHECK(got.untouched);
    }
}

TEST_CASE("a null pointer with elements is refused", "[runtime][bad_input]") {
    Memory memory;
    const Refusal got = refusal(memory, [&] {
        runtime::ds_quantizer({nullptr, Dtype::float16, Shape{64}, Device::cpu()});
    });
    CHECK(got.kind == "InvalidArgument");
    CHECK_THAT(got.text, Contains("null") && Contains("64"));

    CallOptions options;
    options.output = output_floats(memory);
    options.output->data = nullptr;
    const Refusal out = refusal(
        memory, [&] { runtime::ds_quantizer(floats(memory), 1, 8, false, false, options); });
    CHECK(out.kind == "InvalidArgument");
    CHECK_THAT(out.text, Contains("null"));
    CHECK(out.untouched);
}

TEST_CASE("a pointer that is not aligned to its element is refused", "[runtime][bad_input]") {
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        for (std::size_t off = 1; off < runtime::size_bytes(dtype); ++off) {
            Memory memory;
            const TensorView tensor{memory.input.data() + off, dtype, Shape{16}, Device::cpu()};
            const Refusal in = refusal(memory, [&] { runtime::ds_quantizer(tensor); });
            CHECK(in.kind == "InvalidArgument");
            CHECK_THAT(in.text, Contains("align"));
            CHECK(in.untouched);

            CallOptions options;
            options.output =
                TensorView{memory.output.data() + off, dtype, Shape{16}, Device::cpu()};
            const TensorView good{memory.input.data(), dtype, Shape{16}, Device::cpu()};
            const Refusal out =
                refusal(memory, [&] { runtime::ds_quantizer(good, 1, 8, false, false, options); });
            CHECK(out.kind == "InvalidArgument");
            CHECK_THAT(out.text, Contains("align"));
            CHECK(out.untouched);
        }
    }
}

TEST_CASE("an output that overlaps the input without being it is refused", "[runtime][bad_input]") {
    for (const std::int64_t shift : {-16, -1, 1, 16, 31}) {
        Memory memory;
        // Thirty-two floats in the middle, so that the output can lie to either side.
        auto* begin = memory.input.data() + 64;
        const TensorView tensor{begin, Dtype::float32, Shape{32}, Device::cpu()};
        CallOptions options;
        options.output = tensor;
        options.output->data = begin + shift * 4;
        const Refusal got =
            refusal(memory, [&] { runtime::ds_quantizer(tensor, 1, 8, false, false, options); });
        CHECK(got.kind == "InvalidArgument");
        CHECK_THAT(got.text, Contains("overlap"));
        CHECK(got.untouched);
    }
}

TEST_CASE("an output right behind the input, or the input itself, is taken",
          "[runtime][bad_input]") {
    Memory memory;
    const TensorView tensor{memory.input.data(), Dtype::float32, Shape{32}, Device::cpu()};
    CallOptions options;
    options.output = tensor;
    options.output->data = memory.input.data() + 32 * 4;
    CHECK_NOTHROW(runtime::ds_quantizer(tensor, 1, 8, false, false, options));
    options.output->data = memory.input.data();
    CHECK_NOTHROW(runtime::ds_quantizer(tensor, 1, 8, false, false, options));
}

TEST_CASE("an output of another dtype, count or device is refused", "[runtime][bad_input]") {
    Memory memory;
    struct Row {
        TensorView output;
        const char* what;
    };
    TensorView halves = output_floats(memory);
    halves.dtype = Dtype::float16;
    TensorView fewer = output_floats(memory);
    fewer.shape = Shape{63};
    TensorView elsewhere = output_floats(memory);
    elsewhere.device = Device::cuda(0);
    for (const Row& row : {Row{halves, "float16"}, Row{fewer, "63"}, Row{elsewhere, "cuda:0"}}) {
        CallOptions options;
        options.output = row.output;
        const Refusal got = refusal(
            memory, [&] { runtime::ds_quantizer(floats(memory), 1, 8, false, false, options); });
        CHECK(got.kind == "InvalidArgument");
        CHECK_THAT(got.text, Contains(row.what) && Contains("output"));
        CHECK(got.untouched);
    }
}

TEST_CASE("an empty output is checked as any other", "[runtime][bad_input]") {
    Memory memory;
    const TensorView empty{nullptr, Dtype::float32, Shape{0}, Device::cpu()};
    for (const TensorView& output :
         {TensorView{nullptr, Dtype::int32, Shape{0}, Device::cpu()},
          TensorView{nullptr, Dtype::float32, Shape{0}, Device::cuda(0)}, output_floats(memory)}) {
        CallOptions options;
        options.output = output;
        CHECK(refusal(memory, [&] {
                  runtime::ds_quantizer(empty, 1, 8, false, false, options);
              }).kind == "InvalidArgument");
    }
}

TEST_CASE("a count whose bytes reach past the end of the address space is refused",
          "[runtime][bad_input]") {
    for (const std::int64_t elements :
         {std::int64_t{1} << 62U, (std::int64_t{1} << 62U) - 1, (std::int64_t{1} << 62U) + 16}) {
        Memory memory;
        TensorView tensor = floats(memory);
        tensor.shape = Shape{elements};  // times four: 0, -4 and 64 modulo 2^64
        const Refusal in_place = refusal(memory, [&] { runtime::ds_quantizer(tensor); });
        CHECK(in_place.kind == "InvalidArgument");
        CHECK_THAT(in_place.text, Contains(std::to_string(elements)) && Contains("address space"));
        CHECK(in_place.untouched);
    }
}

TEST_CASE("a device_random that is not aligned is refused", "[runtime][bad_input]") {
    Memory memory;
    TensorView tensor = floats(memory);
    tensor.device = Device::cuda(0);
    CallOptions options;
    options.device_random = 4100;
    const Refusal got =
        refusal(memory, [&] { runtime::ds_quantizer(tensor, 1, 8, true, false, options); });
    CHECK(got.kind == "InvalidArgument");
    CHECK_THAT(got.text, Contains("device_random") && Contains("0x1004"));
}

TEST_CASE("a stream with a host tensor is refused", "[runtime][bad_input]") {
    Memory memory;
    CallOptions options;
    options.stream = reinterpret_cast<opforge::driver::StreamHandle>(std::uintptr_t{16});
    const Refusal got = refusal(
        memory, [&] { runtime::ds_quantizer(floats(memory), 1, 8, false, false, options); });
    CHECK(got.kind == "InvalidArgument");
    CHECK_THAT(got.text, Contains("stream"));
    CHECK(got.untouched);
}

TEST_CASE("the extension's names take only their own dtype", "[runtime][bad_input]") {
    using Function = TensorView (*)(const TensorView&, std::int64_t, int, const CallOptions&);
    const std::array<Function, 4> halves = {runtime::ds_quantize_fp16, runtime::ds_sr_quantize_fp16,
                                            runtime::ds_quantize_asym_fp16,
                                            runtime::ds_sr_quantize_asym_fp16};
    const std::array<Function, 4> singles = {
        runtime::ds_quantize_fp32, runtime::ds_sr_quantize_fp32, runtime::ds_quantize_asym_fp32,
        runtime::ds_sr_quantize_asym_fp32};
    Memory memory;
    TensorView tensor = floats(memory);
    for (const Function function : halves) {
        for (const Dtype dtype : {Dtype::float32, Dtype::bfloat16, Dtype::int16}) {
            tensor.dtype = dtype;
            const Refusal got = refusal(memory, [&] { function(tensor, 1, 8, {}); });
            CHECK(got.kind == "UnsupportedDtype");
            CHECK_THAT(got.text, Contains(std::string(runtime::to_string(dtype))));
            CHECK(got.untouched);
        }
    }
    for (const Function function : singles) {
        for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float64}) {
            tensor.dtype = dtype;
            tensor.shape = Shape{32};
            const Refusal got = refusal(memory, [&] { function(tensor, 1, 8, {}); });
            CHECK(got.kind == "UnsupportedDtype");
            CHECK_THAT(got.text, Contains(std::string(runtime::to_string(dtype))));
            CHECK(got.untouched);
        }
    }
}

TEST_CASE("the extension's names do what ds_quantizer does with their flags", "[runtime]") {
    using Function = TensorView (*)(const TensorView&, std::int64_t, int, const CallOptions&);
    struct Row {
        Function function;
        Dtype dtype;
        bool stochastic;
        bool asymmetric;
    };
    for (const Row row : {Row{runtime::ds_quantize_fp16, Dtype::float16, false, false},
                          Row{runtime::ds_quantize_fp32, Dtype::float32, false, false},
                          Row{runtime::ds_sr_quantize_fp16, Dtype::float16, true, false},
                          Row{runtime::ds_sr_quantize_fp32, Dtype::float32, true, false},
                          Row{runtime::ds_quantize_asym_fp16, Dtype::float16, false, true},
                          Row{runtime::ds_quantize_asym_fp32, Dtype::float32, false, true},
                          Row{runtime::ds_sr_quantize_asym_fp16, Dtype::float16, true, true},
                          Row{runtime::ds_sr_quantize_asym_fp32, Dtype::float32, true, true}}) {
        std::vector<float> values(64);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>(i) * 0.37F - 5.0F;
        }
        std::vector<float> other = values;
        CallOptions options;
        options.random = runtime::RandomState{3, 4};
        const Shape shape{static_cast<std::int64_t>(values.size() * sizeof(float) /
                                                    runtime::size_bytes(row.dtype))};
        const std::vector<float> before = values;
        row.function({values.data(), row.dtype, shape, Device::cpu()}, 4, 3, options);
        runtime::ds_quantizer({other.data(), row.dtype, shape, Device::cpu()}, 4, 3, row.stochastic,
                              row.asymmetric, options);
        CHECK(std::equal(values.begin(), values.end(), other.begin(), [](float a, float b) {
            return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
        }));
        CHECK_FALSE(std::equal(values.begin(), values.end(), before.begin(), [](float a, float b) {
            return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
        }));
    }
}

TEST_CASE("an empty tensor is a no-op, its arguments checked all the same",
          "[runtime][bad_input]") {
    const TensorView empty{nullptr, Dtype::float16, Shape{0, 8}, Device::cpu()};
    CHECK_NOTHROW(runtime::ds_quantizer(empty, 3, 8, true, true));
    CHECK_THROWS_AS(runtime::ds_quantizer(empty, 0), InvalidArgument);
    CHECK_THROWS_AS(runtime::ds_quantizer(empty, 1, 17), InvalidArgument);
    TensorView integers = empty;
    integers.dtype = Dtype::int32;
    CHECK_THROWS_AS(runtime::ds_quantizer(integers), UnsupportedDtype);
}

TEST_CASE("shapes that cannot be are refused", "[runtime][bad_input]") {
    CHECK_THROWS_AS((Shape{4, -1}), InvalidArgument);
    CHECK_THROWS_AS((Shape{std::int64_t{1} << 32U, std::int64_t{1} << 32U}), InvalidArgument);
    CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), InvalidArgument);
    CHECK(Shape{}.elements() == 1);
    CHECK((Shape{std::int64_t{1} << 62U, 0}).elements() == 0);
}
