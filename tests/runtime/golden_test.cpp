// The reference vectors, on host and GPU, in place and into an output.
#include "device.hpp"
#include "support/golden_directories.hpp"

#include "golden/compare.hpp"
#include "golden/vectors.hpp"

#include <opforge/driver/device_buffer.hpp>
#include <opforge/runtime/ds_quantizer.hpp>

#include <catch2/catch.hpp>

#include <cstddef>
#include <functional>
#include <iostream>
#include <string>

namespace golden = opforge::golden;
namespace runtime = opforge::runtime;
namespace driver = opforge::driver;
using opforge::Bytes;
using namespace opforge::test;

namespace {

struct Call {
    runtime::TensorView tensor;
    std::int64_t groups = 0;
    int bits = 0;
    bool stochastic = false;
    bool asymmetric = false;
    runtime::CallOptions options;
};

Call call_of(const golden::Case& of) {
    const golden::Tensor& input = golden::input(of, "input");
    Call call;
    call.tensor.dtype = input.dtype() == "float16"    ? runtime::Dtype::float16
                        : input.dtype() == "bfloat16" ? runtime::Dtype::bfloat16
                                                      : runtime::Dtype::float32;
    call.tensor.shape = runtime::Shape(input.shape());
    call.groups = golden::integer(of, "groups");
    call.bits = static_cast<int>(golden::integer(of, "bits"));
    call.stochastic = golden::flag(of, "sr");
    call.asymmetric = golden::flag(of, "asym");
    if (call.stochastic) {
        call.options.random = runtime::RandomState{golden::unsigned_integer(of, "seed"),
                                                   golden::unsigned_integer(of, "offset")};
    }
    return call;
}

Bytes run_on_host(const golden::Case& of, bool into_output) {
    Call call = call_of(of);
    const auto input = golden::input(of, "input").bytes();
    Bytes data(input.begin(), input.end());
    Bytes output(data.size());
    call.tensor.data = data.data();
    if (into_output) {
        call.options.output = call.tensor;
        call.options.output->data = output.data();
    }
    runtime::ds_quantizer(call.tensor, call.groups, call.bits, call.stochastic, call.asymmetric,
                          call.options);
    return into_output ? output : data;
}

Bytes run_on_gpu(const driver::DriverApi& api, const golden::Case& of, bool into_output) {
    Call call = call_of(of);
    const auto bytes = golden::input(of, "input").bytes();
    const driver::DeviceBuffer input(api, bytes.size());
    const driver::DeviceBuffer output(api, bytes.size());
    input.upload(bytes);
    call.tensor.device = runtime::Device::cuda(0);
    call.tensor.data = input.data();
    if (into_output) {
        call.options.output = call.tensor;
        call.options.output->data = output.data();
    }
    runtime::ds_quantizer(call.tensor, call.groups, call.bits, call.stochastic, call.asymmetric,
                          call.options);
    Bytes result(bytes.size());
    (into_output ? output : input).download(result);
    return result;
}

void check_every_case(const std::function<Bytes(const golden::Case&, bool)>& run) {
    const auto directories = golden_directories();
    if (directories.empty()) {
        std::cout << "SKIPPED: no reference vectors (OPFORGE_GOLDEN_DIR)\n";
        return;
    }
    std::size_t checked = 0;
    for (const auto& directory : directories) {
        for (const golden::Case& of : golden::read_vectors(directory).cases) {
            if (of.op != "ds_quantizer") {
                continue;
            }
            const golden::Tensor& expected = of.expected.at("output");
            for (const bool into_output : {false, true}) {
                const auto difference = golden::first_difference(expected.dtype(), expected.bytes(),
                                                                 run(of, into_output));
                INFO(directory << " case " << of.index << " " << of.attributes.dump()
                               << (into_output ? " into an output" : " in place") << ", element "
                               << difference.value_or(0));
                CHECK_FALSE(difference.has_value());
            }
            ++checked;
        }
    }
    CHECK(checked > 0);
}

}  // namespace

TEST_CASE("the host gives the reference vectors' bits", "[runtime][golden]") {
    check_every_case(run_on_host);
}

TEST_CASE("the GPU gives the reference vectors' bits", "[runtime][golden][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    check_every_case([&](const golden::Case& of, bool into_output) {
        return run_on_gpu(gpu->api, of, into_output);
    });
}
