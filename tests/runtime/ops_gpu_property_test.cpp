// The ops with codes on the GPU against the host, bit for bit: the host's sweep, and the shapes
// that decide between kernels.
#include "device.hpp"
#include "free_memory.hpp"
#include "ops_gpu_batches.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantize.hpp>
#include <opforge/runtime/quantizer_program.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

namespace driver = opforge::driver;
namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using runtime::CodesVariant;
using namespace opforge::test;

namespace {

constexpr std::uint64_t kCombinations = 36;  // of dtype, width, type and rounding

Op op_of(const CodesVariant& variant) {
    switch (variant.op) {
    case CodesVariant::Op::quantize:
        return Op::quantize;
    case CodesVariant::Op::loco_swizzle_quant:
        return Op::loco_swizzle_quant;
    case CodesVariant::Op::quantized_reduction:
        return Op::quantized_reduction;
    case CodesVariant::Op::loco_quantized_reduction:
        return Op::loco_quantized_reduction;
    case CodesVariant::Op::dequantize:
        return Op::dequantize;
    case CodesVariant::Op::dequantize_experimental:
        break;
    }
    return Op::dequantize_int4;
}

bool is_reduction(const CodesVariant& variant) {
    return variant.op == CodesVariant::Op::quantized_reduction ||
           variant.op == CodesVariant::Op::loco_quantized_reduction;
}

// The program that the case needs on a device.
CodesVariant variant_of(const OpsCase& of, const runtime::PlanFacts& facts) {
    CodesVariant variant;
    variant.element = static_cast<runtime::Element>(of.element);
    variant.asymmetric = of.asymmetric;
    variant.stochastic = of.stochastic;
    switch (of.op) {
    case Op::quantize:
    case Op::swizzle_quant:
        variant.op = CodesVariant::Op::quantize;
        break;
    case Op::loco_swizzle_quant:
        variant.op = CodesVariant::Op::loco_swizzle_quant;
        break;
    case Op::quantized_reduction:
        variant.op = CodesVariant::Op::quantized_reduction;
        break;
    case Op::loco_quantized_reduction:
        variant.op = CodesVariant::Op::loco_quantized_reduction;
        break;
    case Op::dequantize:
        variant.op = CodesVariant::Op::dequantize;
        break;
    case Op::dequantize_int4:
    case Op::dequantize_int8:
        return {.op = CodesVariant::Op::dequantize_experimental};
    }
    if (!of.decodes()) {
        const std::int64_t groups = of.reduces() ? of.out_groups : of.groups;
        const std::int64_t group_size = of.out_elements() / groups;
        const bool error_first = of.op == Op::loco_quantized_reduction && !of.asymmetric &&
                                 of.element == oracle::Element::fp16;
        const int batch = of.element == oracle::Element::fp32 || error_first ? 2 : 4;
        const std::int64_t whole = of.reduces() ? 8 * batch : 8;
        const bool aligned = std::none_of(std::begin(kAllRoles), std::end(kAllRoles),
                                          [&](Role role) { return of.skew[role] != 0; }) &&
                             group_size % whole == 0 && of.group_size % whole == 0 &&
                             (!of.stochastic || draws_whole_counters(of.random, of.elements()));
        const int octet_bytes = of.reduces() ? 0 : 16;
        const bool has_small = variant.op == CodesVariant::Op::quantize && !of.stochastic;
        variant.kernel = runtime::plan_quantize(
                             {groups, group_size, batch, aligned, octet_bytes, has_small}, facts)
                             .kernel;
    }
    return variant;
}

// A case or two for every program: a sanitizer runs them a hundred times slower.
std::vector<OpsCase> sanitizer_cases() {
    std::vector<OpsCase> cases;
    std::uint64_t number = 0;
    for (const CodesVariant& variant : CodesVariant::all()) {
        using runtime::QuantizeKernel;
        const bool cluster = variant.kernel == QuantizeKernel::cluster;
        const bool many = variant.kernel == QuantizeKernel::batches;
        const bool few = variant.kernel == QuantizeKernel::small;
        const bool batches = cluster || many || few || variant.kernel == QuantizeKernel::groups;
        const std::int64_t sizes[] = {6, 66, 130, 1002, 1026, 4100};
        const std::int64_t aligned_sizes[] = {96, 160, 480, 1056, 2080, 8160};
        // A sum's groups are twice as large as these.
        const std::int64_t halves = is_reduction(variant) ? 2 : 1;
        const std::int64_t many_sizes[] = {16448 / halves, 32704 / halves};
        // A block's slice in one piece, and in several.
        const std::int64_t cluster_sizes[] = {33120, 131040};
        const std::int64_t size = variant.kernel == QuantizeKernel::split ? 40002
                                  : cluster ? cluster_sizes[number % 2]
                                  : many    ? many_sizes[number % 2]
                                  : few     ? 32
                                  : batches ? aligned_sizes[number % 6]
                                            : sizes[number % 6];
        OpsCase of = ops_case(op_of(variant), 0, size);
        of.seed = ++number;
        of.random = {number, number * (batches ? 20 : 5)};
        of.element = static_cast<oracle::Element>(variant.element);
        of.stochastic = variant.stochastic;
        of.asymmetric = variant.asymmetric;
        if (of.op != Op::dequantize_int4) {
            of.bits = number % 2 == 0 ? 4 : 8;
        }
        if (of.op == Op::quantize && !of.stochastic && number % 2 == 0) {
            of.op = Op::swizzle_quant;
            of.nodes = 2;
            of.devices = 2;
        }
        if (!batches) {
            of.skew[Role::input] = number % 3;
            of.skew[Role::error] = number % 3;
            of.skew[Role::output] = number % 4 == 3 ? 1 : 0;
        }
        cases.push_back(of);
    }
    for (int op = 0; op < kOps; ++op) {
        OpsCase poisoned = ops_case(static_cast<Op>(op), 5, 300);
        poisoned.pattern = Pattern::nan;
        poisoned.records = Records::one_bad;
        cases.push_back(poisoned);
        cases.push_back(ops_case(static_cast<Op>(op), 29, 1));  // as many as fill a byte
    }
    return cases;
}

}  // namespace

TEST_CASE("the GPU equals the host over a random sweep of the ops with codes",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::uint64_t kCases = 12000;
    const std::uint64_t first = first_seed(71260000, kCases);
    OpsGpuBatches batches(gpu->api);
    for (std::uint64_t seed = first; seed < first + kCases; ++seed) {
        batches.add(random_ops_case(seed, 4096));
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host over a random sweep of large groups with codes",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (std::uint64_t seed = 91260000; seed < 91260000 + 500; ++seed) {
        SplitMix random(seed);
        OpsCase of = random_ops_case(seed, 4096);
        of.groups = of.swizzles()  ? of.pipeline * of.nodes * of.devices
                    : of.reduces() ? of.devices
                                   : random.between(1, 4);
        const std::int64_t most = std::max<std::int64_t>(4000, 400000 / of.groups);
        of.group_size = random.between(4000, most) / whole_bytes(of.bits) * whole_bytes(of.bits);
        if (of.reduces()) {
            of.out_groups = random_out_groups(random, of.out_elements(), of.bits);
        }
        batches.add(of);
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for groups with codes around every power of two",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (int exponent = 0; exponent <= 20; ++exponent) {
        for (const std::int64_t around : {-1, 0, 1}) {
            const std::int64_t size = (std::int64_t{1} << exponent) + 4 * around;
            // Five has no divisor in common with the combinations: over the sizes, all occur.
            const std::uint64_t step = exponent > 15 ? 17 : 5;
            for (int op = 0; op < kOps && size > 0; ++op) {
                for (std::uint64_t number = static_cast<std::uint64_t>(exponent * 3 + around + 1);
                     number < kCombinations + 62; number += step) {
                    OpsCase of = ops_case(static_cast<Op>(op), number, size);
                    if (exponent > 14) {
                        of.groups = of.reduces() ? 2 : 1;
                        of.nodes = 1;
                        of.devices = of.reduces() ? 2 : 1;
                        of.out_groups = 1;
                    }
                    of.skew[Role::input] = number % 2;
                    batches.add(of);
                }
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for every pair of misaligned values and codes",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    std::uint64_t number = 0;
    for (const std::int64_t size : {4, 8, 20, 64, 1024, 1032, 40008}) {
        for (int op = 0; op < kOps; ++op) {
            for (std::size_t input = 0; input < 9; ++input) {
                for (std::size_t output = 0; output < 9; ++output) {
                    OpsCase of = ops_case(static_cast<Op>(op), ++number, size);
                    of.groups = of.reduces() ? 2 : 1;
                    of.nodes = 1;
                    of.devices = of.reduces() ? 2 : 1;
                    of.out_groups = 1;
                    of.skew[Role::input] = input;
                    of.skew[Role::output] = output;
                    of.skew[Role::error] = number % 3;
                    of.skew[Role::params] = number % 2;
                    of.skew[Role::records] = number % 5;
                    batches.add(of);
                }
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for aligned groups with codes of every number of octets",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    std::vector<std::int64_t> sizes;
    for (std::int64_t size = 8; size <= 2200; size += 8) {
        sizes.push_back(size);
    }
    for (std::int64_t size = 4096; size < 40000; size += 1872) {
        sizes.push_back(size);  // beyond one batch a thread too
    }
    std::uint64_t number = 0;
    for (const std::int64_t size : sizes) {
        for (int op = 0; op < kOps; ++op) {
            batches.add(ops_case(static_cast<Op>(op), ++number, size));
        }
    }
    // Records that are larger and smaller than the groups of the sum.
    for (const std::int64_t units : {1, 2, 3, 6, 12, 60, 240, 2520}) {
        for (const std::int64_t out_groups : {1, 2, 3, 4, 6, 12}) {
            for (const Op op : {Op::quantized_reduction, Op::loco_quantized_reduction}) {
                for (const std::int64_t devices : {1, 2, 3, 5, 16}) {
                    const std::int64_t run = op == Op::quantized_reduction ? 32 : 16;
                    OpsCase of = ops_case(op, ++number, run * units);
                    of.bits = number % 2 == 0 ? 4 : 8;
                    of.devices = devices;
                    of.groups = 12 * devices;
                    of.out_groups = out_groups;
                    batches.add(of);
                }
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for many tiny groups with codes", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (std::uint64_t number = 0; number < kCombinations; number += 5) {
        for (int op = 0; op < kOps; ++op) {
            for (const std::int64_t size : {1, 36}) {
                OpsCase of = ops_case(static_cast<Op>(op), number, size);
                of.groups = size == 1 ? 200000 : 30000;
                of.out_groups = of.reduces() ? of.groups / 2 : 1;
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host where clusters go on to further groups with codes",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::int64_t kValues = std::int64_t{16} << 20U;
    OpsGpuBatches batches(gpu->api);
    std::uint64_t first = 0;
    for (const Op op : {Op::quantize, Op::swizzle_quant, Op::loco_swizzle_quant}) {
        for (const std::int64_t size : {33024, 65536, 131072}) {
            for (std::uint64_t number = first++; number < kCombinations; number += 12) {
                OpsCase of = ops_case(op, number, size);
                of.groups = kValues / size / 8 * 8;
                of.pipeline = of.swizzles() ? 2 : 1;
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for hundreds of devices", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (std::uint64_t number = 0; number < kCombinations; ++number) {
        for (const Op op : {Op::quantized_reduction, Op::loco_quantized_reduction,
                            Op::swizzle_quant, Op::loco_swizzle_quant}) {
            OpsCase of = ops_case(op, number, 44);
            of.devices = 300;
            of.groups = of.swizzles() ? 300 * 7 * 2 : 600;
            of.nodes = of.swizzles() ? 7 : 1;
            of.pipeline = of.swizzles() ? 2 : 1;
            batches.add(of);
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU poisons the groups with codes that the host poisons",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (const std::int64_t size : {4, 32, 700, 1028, 9004, 40000, 300000}) {
        for (int op = 0; op < kOps; ++op) {
            for (std::uint64_t number = 0; number < 12; ++number) {
                OpsCase of = ops_case(static_cast<Op>(op), number, size);
                of.pattern = number % 3 == 0   ? Pattern::nan
                             : number % 3 == 1 ? Pattern::infinity
                                               : Pattern::huge;
                of.records = number % 2 == 0 ? Records::one_bad : Records::large;
                of.near_top = number == 11;
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the sanitizer's cases reach every program with codes and are at most 175", "[runtime]") {
    const std::vector<OpsCase> cases = sanitizer_cases();
    CHECK(cases.size() <= 175);
    // Small and large chips, whose plans differ. What clusters do with the largest groups, others
    // do in batches.
    for (const int multiprocessors : {20, 132}) {
        std::set<std::size_t> reached;
        for (const bool clusters : {false, true}) {
            for (const OpsCase& of : cases) {
                reached.insert(variant_of(of, {.multiprocessors = multiprocessors,
                                               .max_threads_per_block = 1024,
                                               .shared_bytes_per_block = 232448,
                                               .shared_bytes_per_multiprocessor = 233472,
                                               .cluster_launch = clusters})
                                   .index());
            }
        }
        CHECK(reached.size() == CodesVariant::all().size());
    }
}

TEST_CASE("a small subset with codes for compute-sanitizer", "[.sanitizer][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    OpsGpuBatches batches(gpu->api);
    for (const OpsCase& of : sanitizer_cases()) {
        batches.add(of);
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("2^31 + 8 fp16 elements to codes of eight bits and back", "[.huge][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::size_t kElements = (std::size_t{1} << 31U) + 8;
    constexpr std::size_t kChunk = std::size_t{256} << 20U;
    if (!has_free_memory(3 * kElements + 2 * kChunk)) {
        return;
    }
    const auto values = device_memory(gpu->api, 2 * kElements);
    const auto codes = values ? device_memory(gpu->api, kElements) : std::nullopt;
    if (!codes.has_value()) {
        return;
    }
    const driver::DeviceBuffer params(gpu->api, 8);
    // Random bits with the exponent's top bit cleared: finite, below 2, of all magnitudes.
    SplitMix random(41);
    Bytes host_values(2 * kElements);
    for (std::size_t i = 0; i < host_values.size(); i += sizeof(std::uint64_t)) {
        const std::uint64_t word = random.next() & 0xBFFFBFFFBFFFBFFFU;
        std::memcpy(host_values.data() + i, &word, sizeof word);
    }
    Bytes host_codes(kElements);
    Bytes host_params(8);
    const auto in_chunks = [&](std::size_t size, const auto& visit) {
        for (std::size_t begin = 0; begin < size; begin += kChunk) {
            visit(begin, std::min(kChunk, size - begin));
        }
    };
    in_chunks(host_values.size(), [&](std::size_t begin, std::size_t size) {
        values->upload(std::span(host_values).subspan(begin, size), begin);
    });
    const auto to_codes_and_back = [&](void* tensor, void* coded, void* records,
                                       runtime::Device device) {
        const runtime::Shape all{static_cast<std::int64_t>(kElements)};
        runtime::OpOptions options;
        options.output = runtime::TensorView{coded, runtime::Dtype::int8, all, device};
        options.params =
            runtime::TensorView{records, runtime::Dtype::float32, runtime::Shape{1, 2}, device};
        options.stochastic = true;
        options.random = runtime::RandomState{31, (std::uint64_t{1} << 34U) - 1000};
        const runtime::TensorView view{tensor, runtime::Dtype::float16, all, device};
        const auto type = runtime::QuantizationType::asymmetric;
        const auto result = runtime::quantize(view, 1, 8, type, options);
        runtime::OpOptions back;
        back.output = view;
        runtime::dequantize(result.codes, result.params, 1, 8, type, back);
    };
    to_codes_and_back(values->data(), codes->data(), params.data(), runtime::Device::cuda(0));
    to_codes_and_back(host_values.data(), host_codes.data(), host_params.data(),
                      runtime::Device::cpu());

    Bytes actual(kChunk);
    const auto compare = [&](const Bytes& expected, const driver::DeviceBuffer& buffer) {
        in_chunks(expected.size(), [&](std::size_t begin, std::size_t size) {
            buffer.download(std::span(actual).first(size), begin);
            INFO("chunk at byte " << begin);
            REQUIRE(std::equal(actual.begin(), actual.begin() + static_cast<std::ptrdiff_t>(size),
                               expected.begin() + static_cast<std::ptrdiff_t>(begin)));
        });
    };
    compare(host_params, params);
    compare(host_codes, *codes);
    compare(host_values, *values);
}
