#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/op_table.hpp>

#include <algorithm>
#include <array>

namespace opforge::runtime {
namespace {

using std::string_view;
using Dtypes = SmallSet<Dtype>;
using Widths = SmallSet<int>;
using Refusals = SmallSet<Refusal>;

constexpr Dtypes kFloats = {Dtype::float16, Dtype::bfloat16, Dtype::float32};
constexpr Dtypes kHalf = {Dtype::float16};
constexpr Dtypes kFloat32 = {Dtype::float32};
constexpr Dtypes kCodes = {Dtype::int8, Dtype::uint8};

constexpr Widths fake_widths() {
    Widths widths;
    for (int bits = kMinBits; bits <= kMaxBits; ++bits) {
        widths = widths | Widths{bits};
    }
    return widths;
}
constexpr Widths kFakeWidths = fake_widths();
constexpr Widths kCodeWidths = {2, 4, 8};
constexpr Widths kReductionWidths = {4, 8};

constexpr string_view kPacked = "codes most significant bit first: 8 / bits a byte";
constexpr string_view kRecords = "a record a group, in the order of the codes' groups";
constexpr string_view kRecordShape = "[groups, 1] {step} or [groups, 2] {step, offset}";

// --- fake quantization

constexpr std::array<OpTensor, 2> fake_tensors(string_view input, Dtypes dtypes) {
    return {{{.name = input,
              .access = Access::changed,
              .dtypes = dtypes,
              .shape = "any",
              .layout = "groups of consecutive elements"},
             {.name = "output",
              .access = Access::optional,
              .dtypes = dtypes,
              .follows = input,
              .shape = "any, as many elements"}}};
}
constexpr auto kFakeHalf = fake_tensors("vals", kHalf);
constexpr auto kFakeFloat32 = fake_tensors("vals", kFloat32);
constexpr auto kFakeAny = fake_tensors("input", kFloats);

constexpr string_view kFakeArguments = "vals, groups, bits";
constexpr string_view kFakeHeader = "ds_quantizer.hpp";
constexpr string_view kFakeSymmetric =
    "m = max abs x; s = f32(L / (2m + 1e-5)), in f64; r = 1 / s; q = clamp(rne(x * s)); y = q * r";
constexpr string_view kFakeAsymmetric =
    "s = f32((hi - lo + 1e-5) / L), in f64; r = 1 / s; q = rha((x - lo) * r), no clamp; "
    "y = fma(q, s, lo)";
constexpr string_view kFakeSymmetricStochastic =
    "s, r as nearest; v = x * s; t = floor(v); q = clamp(t + (u < v - t ? 1 : 0)); y = q * r";
constexpr string_view kFakeAsymmetricStochastic =
    "s, r as nearest; v = (x - lo) * r; t = floor(v); q = t + (u < v - t ? 1 : 0) in [0, L - 1]; "
    "y = fma(q, s, lo)";
constexpr Refusals kOfEveryOp = {Refusal::dtype,  Refusal::count,   Refusal::device,
                                 Refusal::memory, Refusal::overlap, Refusal::options};
constexpr Refusals kFakeRefusals =
    kOfEveryOp | Refusals{Refusal::bits, Refusal::groups, Refusal::range};

template <std::size_t Count>
using Functions = std::array<string_view, Count>;

constexpr Functions<1> kQuantizeFp16 = {"ds_quantize_fp16"};
constexpr Functions<1> kQuantizeFp32 = {"ds_quantize_fp32"};
constexpr Functions<1> kSrQuantizeFp16 = {"ds_sr_quantize_fp16"};
constexpr Functions<1> kSrQuantizeFp32 = {"ds_sr_quantize_fp32"};
constexpr Functions<1> kQuantizeAsymFp16 = {"ds_quantize_asym_fp16"};
constexpr Functions<1> kQuantizeAsymFp32 = {"ds_quantize_asym_fp32"};
constexpr Functions<1> kSrQuantizeAsymFp16 = {"ds_sr_quantize_asym_fp16"};
constexpr Functions<1> kSrQuantizeAsymFp32 = {"ds_sr_quantize_asym_fp32"};
constexpr Functions<12> kDsQuantizer = {
    "ds_quantize_fp16",         "ds_quantize_bf16",         "ds_quantize_fp32",
    "ds_quantize_asym_fp16",    "ds_quantize_asym_bf16",    "ds_quantize_asym_fp32",
    "ds_sr_quantize_fp16",      "ds_sr_quantize_bf16",      "ds_sr_quantize_fp32",
    "ds_sr_quantize_asym_fp16", "ds_sr_quantize_asym_bf16", "ds_sr_quantize_asym_fp32"};

constexpr OpInfo fake(int binding, string_view formula, std::span<const string_view> function,
                      std::span<const OpTensor> tensors) {
    return {.name = function.front(),
            .binding = binding,
            .arguments = kFakeArguments,
            .header = kFakeHeader,
            .tensors = tensors,
            .bits = kFakeWidths,
            .formula = formula,
            .refusals = kFakeRefusals,
            .functions = function};
}

// --- codes

constexpr OpTensor kParamsOut = {.name = "params",
                                 .access = Access::written,
                                 .dtypes = kFloat32,
                                 .shape = kRecordShape,
                                 .layout = kRecords};
constexpr OpTensor kFlatInput = {
    .name = "input", .dtypes = kFloats, .shape = "any", .layout = "groups of consecutive elements"};
constexpr OpTensor kCodesIn = {
    .name = "codes", .dtypes = kCodes, .shape = "any", .layout = kPacked};

constexpr std::array<OpTensor, 3> kQuantizeTensors = {
    {kFlatInput,
     {.name = "output",
      .access = Access::written,
      .dtypes = kCodes,
      .shape = "the input's, last dimension * bits / 8; 1-D where that is not whole",
      .layout = kPacked},
     kParamsOut}};

constexpr std::array<OpTensor, 3> dequantize_tensors(Dtypes result, string_view follows) {
    return {{kCodesIn,
             {.name = "params",
              .dtypes = kFloat32,
              .shape = "any of groups records {step} or {step, offset}",
              .layout = kRecords},
             {.name = "output",
              .access = Access::written,
              .dtypes = result,
              .follows = follows,
              .shape = "the codes', last dimension * 8 / bits"}}};
}
constexpr auto kDequantizeTensors = dequantize_tensors(kFloats, "dtype");
constexpr auto kDequantizeFp32Tensors = dequantize_tensors(kFloat32, {});
constexpr auto kDequantizeBf16Tensors = dequantize_tensors({Dtype::bfloat16}, {});

constexpr std::array<OpTensor, 4> experimental_tensors(string_view data_shape,
                                                       string_view data_layout) {
    return {{{.name = "data", .dtypes = kCodes, .shape = data_shape, .layout = data_layout},
             {.name = "scale", .dtypes = kHalf, .shape = "any of num_group"},
             {.name = "min", .dtypes = kHalf, .shape = "any of num_group"},
             {.name = "output",
              .access = Access::written,
              .dtypes = kHalf,
              .shape = "[num_group, group_size]"}}};
}
constexpr auto kInt4Tensors = experimental_tensors(
    "any of num_group * group_size / 2", "unsigned codes, two a byte, the first in bits 7 to 4");
constexpr auto kInt8Tensors =
    experimental_tensors("any of num_group * group_size", "unsigned codes, one a byte");

constexpr string_view kSwizzled =
    "input group (p * pipeline_size + y) * C + c is output group (y * P + (p mod D) * nodes + "
    "p / D) * C + c";
constexpr OpTensor kSwizzledCodes = {.name = "output",
                                     .access = Access::written,
                                     .dtypes = kCodes,
                                     .shape = "1-D",
                                     .layout = kSwizzled};
constexpr std::array<OpTensor, 3> kSwizzleTensors = {{kFlatInput, kSwizzledCodes, kParamsOut}};
constexpr std::array<OpTensor, 4> kLocoSwizzleTensors = {
    {kFlatInput,
     {.name = "error_feedback",
      .access = Access::changed,
      .dtypes = kFloats,
      .follows = "input",
      .shape = "any, as many elements as input",
      .layout = "in the order of the codes"},
     kSwizzledCodes,
     kParamsOut}};

constexpr OpTensor kDevicesCodes = {.name = "codes",
                                    .dtypes = kCodes,
                                    .shape = "any, last dimension a multiple of devices_per_node",
                                    .layout = "the devices' codes one after the other"};
constexpr OpTensor kDevicesScales = {.name = "scales",
                                     .dtypes = kFloat32,
                                     .shape = "any of in_groups records",
                                     .layout = "the devices' records one after the other"};
constexpr OpTensor kReducedCodes = {.name = "output",
                                    .access = Access::written,
                                    .dtypes = kCodes,
                                    .shape = "the codes', last dimension / devices_per_node",
                                    .layout = kPacked};
constexpr OpTensor kReducedParams = {.name = "params",
                                     .access = Access::written,
                                     .dtypes = kFloat32,
                                     .shape = "[out_groups, 1] or [out_groups, 2]",
                                     .layout = kRecords};
constexpr std::array<OpTensor, 4> kReductionTensors = {
    {kDevicesCodes, kDevicesScales, kReducedCodes, kReducedParams}};
constexpr std::array<OpTensor, 5> kLocoReductionTensors = {
    {kDevicesCodes,
     kDevicesScales,
     {.name = "error_feedback",
      .access = Access::changed,
      .dtypes = kFloats,
      .shape = "any of one device's elements",
      .layout = "in the order of the sum"},
     kReducedCodes,
     kReducedParams}};

constexpr string_view kQuantizeHeader = "quantize.hpp";
constexpr string_view kReductionHeader = "gradient_reduction.hpp";
constexpr Refusals kWithCodes = kOfEveryOp | Refusals{Refusal::bits, Refusal::type, Refusal::groups,
                                                      Refusal::whole_bytes, Refusal::range};
constexpr Refusals kExperimental = kOfEveryOp | Refusals{Refusal::sizes, Refusal::range};
constexpr Refusals kSwizzle = kWithCodes | Refusals{Refusal::partitions};
constexpr Refusals kReduction = kWithCodes | Refusals{Refusal::devices};

constexpr string_view kQuantizeFormula =
    "symmetric: m = max abs x, s = L / 2m (m = 0: 1), q = clamp(rne(x * s)), record {1 / s}; "
    "asymmetric: s = L / (hi - lo) (hi = lo: 1), o = (hi + lo) / 2, q = clamp(rne((x - o) * s)), "
    "record {1 / s, o}; stochastic: v floored, and one more where u < v - floor(v), in place of "
    "rne";
constexpr string_view kDequantizeFormula =
    "symmetric: y = q * step; asymmetric: y = fma(q, step, offset); rounded to the result's dtype";
constexpr string_view kExperimentalFormula = "y = f16(f16(u / scale) + min)";
constexpr string_view kSwizzleFormula = "as quantize, groups reordered (P = nodes * D, D = "
                                        "devices_per_node, C = groups / (P * pipeline_size))";
constexpr string_view kLocoSwizzleFormula =
    "h = W(x + e); h as swizzle_quant; d = W(decoded h); e' = W(fma(1 - beta, h - d, beta * e)); "
    "W: the input's dtype";
constexpr string_view kReductionFormula =
    "a = +0; for each device in order a = W(a + W(decoded)); a as quantize; W: the argument dtype";
constexpr string_view kLocoReductionFormula =
    "a as quantized_reduction; h = W(a + e); h as quantize; e' as loco_swizzle_quant; W: "
    "error_feedback's dtype";

constexpr Functions<12> kQuantizePrograms = {
    "quantize_fp16",         "quantize_bf16",         "quantize_fp32",
    "quantize_asym_fp16",    "quantize_asym_bf16",    "quantize_asym_fp32",
    "sr_quantize_fp16",      "sr_quantize_bf16",      "sr_quantize_fp32",
    "sr_quantize_asym_fp16", "sr_quantize_asym_bf16", "sr_quantize_asym_fp32"};
constexpr Functions<6> kSwizzlePrograms = {"quantize_fp16",      "quantize_bf16",
                                           "quantize_fp32",      "quantize_asym_fp16",
                                           "quantize_asym_bf16", "quantize_asym_fp32"};
constexpr Functions<6> kLocoSwizzlePrograms = {
    "loco_swizzle_quant_fp16",      "loco_swizzle_quant_bf16",      "loco_swizzle_quant_fp32",
    "loco_swizzle_quant_asym_fp16", "loco_swizzle_quant_asym_bf16", "loco_swizzle_quant_asym_fp32"};
constexpr Functions<6> kReductionPrograms = {
    "quantized_reduction_fp16",      "quantized_reduction_bf16",
    "quantized_reduction_fp32",      "quantized_reduction_asym_fp16",
    "quantized_reduction_asym_bf16", "quantized_reduction_asym_fp32"};
constexpr Functions<6> kLocoReductionPrograms = {
    "loco_quantized_reduction_fp16",      "loco_quantized_reduction_bf16",
    "loco_quantized_reduction_fp32",      "loco_quantized_reduction_asym_fp16",
    "loco_quantized_reduction_asym_bf16", "loco_quantized_reduction_asym_fp32"};
constexpr Functions<6> kDequantizePrograms = {"dequantize_fp16",      "dequantize_bf16",
                                              "dequantize_fp32",      "dequantize_asym_fp16",
                                              "dequantize_asym_bf16", "dequantize_asym_fp32"};
constexpr Functions<2> kDequantizeFp32Programs = {"dequantize_fp32", "dequantize_asym_fp32"};
constexpr Functions<2> kDequantizeBf16Programs = {"dequantize_bf16", "dequantize_asym_bf16"};
constexpr Functions<1> kExperimentalPrograms = {"dequantize_experimental"};

constexpr std::array<OpInfo, 20> kTable = {{
    fake(1, kFakeSymmetric, kQuantizeFp16, kFakeHalf),
    fake(2, kFakeSymmetric, kQuantizeFp32, kFakeFloat32),
    fake(3, kFakeSymmetricStochastic, kSrQuantizeFp16, kFakeHalf),
    fake(4, kFakeSymmetricStochastic, kSrQuantizeFp32, kFakeFloat32),
    fake(5, kFakeAsymmetric, kQuantizeAsymFp16, kFakeHalf),
    fake(6, kFakeAsymmetric, kQuantizeAsymFp32, kFakeFloat32),
    fake(7, kFakeAsymmetricStochastic, kSrQuantizeAsymFp16, kFakeHalf),
    fake(8, kFakeAsymmetricStochastic, kSrQuantizeAsymFp32, kFakeFloat32),
    {.name = "QuantizationType",
     .binding = 9,
     .arguments = {},
     .header = "quantization_type.hpp",
     .tensors = {},
     .formula = "an enumeration: symmetric = 0, asymmetric = 1"},
    {.name = "quantize",
     .binding = 10,
     .arguments = "input, groups, num_bits, type",
     .header = kQuantizeHeader,
     .tensors = kQuantizeTensors,
     .bits = kCodeWidths,
     .formula = kQuantizeFormula,
     .refusals = kWithCodes,
     .functions = kQuantizePrograms},
    {.name = "dequantize",
     .binding = 11,
     .arguments = "codes, params, groups, num_bits, type",
     .header = kQuantizeHeader,
     .tensors = kDequantizeTensors,
     .dtype_argument = kFloats,
     .bits = kCodeWidths,
     .formula = kDequantizeFormula,
     .refusals = kWithCodes,
     .functions = kDequantizePrograms},
    {.name = "dequantize_fp32",
     .binding = 12,
     .arguments = "codes, params, groups, num_bits, type",
     .header = kQuantizeHeader,
     .tensors = kDequantizeFp32Tensors,
     .bits = kCodeWidths,
     .formula = kDequantizeFormula,
     .refusals = kWithCodes,
     .functions = kDequantizeFp32Programs},
    {.name = "dequantize_int4_to_half_experimental",
     .binding = 13,
     .arguments = "data, scale, min, num_group, group_size",
     .header = kQuantizeHeader,
     .tensors = kInt4Tensors,
     .bits = {4},
     .formula = kExperimentalFormula,
     .refusals = kExperimental | Refusals{Refusal::whole_bytes},
     .functions = kExperimentalPrograms},
    {.name = "dequantize_int8_to_half_experimental",
     .binding = 14,
     .arguments = "data, scale, min, num_group, group_size",
     .header = kQuantizeHeader,
     .tensors = kInt8Tensors,
     .bits = {8},
     .formula = kExperimentalFormula,
     .refusals = kExperimental,
     .functions = kExperimentalPrograms},
    {.name = "swizzle_quant",
     .binding = 15,
     .arguments = "input, groups, num_bits, type, pipeline_size, nodes, devices_per_node",
     .header = kReductionHeader,
     .tensors = kSwizzleTensors,
     .bits = kReductionWidths,
     .formula = kSwizzleFormula,
     .refusals = kSwizzle,
     .functions = kSwizzlePrograms},
    {.name = "quantized_reduction",
     .binding = 16,
     .arguments = "codes, scales, in_groups, out_groups, num_bits, type, devices_per_node",
     .header = kReductionHeader,
     .tensors = kReductionTensors,
     .dtype_argument = kFloats,
     .bits = kReductionWidths,
     .formula = kReductionFormula,
     .refusals = kReduction,
     .functions = kReductionPrograms},
    {.name = "loco_swizzle_quant",
     .binding = 17,
     .arguments = "input, error_feedback, err_beta, groups, num_bits, type, pipeline_size, nodes, "
                  "devices_per_node",
     .header = kReductionHeader,
     .tensors = kLocoSwizzleTensors,
     .bits = kReductionWidths,
     .formula = kLocoSwizzleFormula,
     .refusals = kSwizzle,
     .functions = kLocoSwizzlePrograms},
    {.name = "loco_quantized_reduction",
     .binding = 18,
     .arguments = "codes, scales, error_feedback, err_beta, in_groups, out_groups, num_bits, type, "
                  "devices_per_node",
     .header = kReductionHeader,
     .tensors = kLocoReductionTensors,
     .bits = kReductionWidths,
     .formula = kLocoReductionFormula,
     .refusals = kReduction,
     .functions = kLocoReductionPrograms},
    {.name = "ds_quantizer",
     .arguments = "input, groups = 1, bit_num = 8, sr = false, asym = false",
     .header = kFakeHeader,
     .tensors = kFakeAny,
     .bits = kFakeWidths,
     .formula = "the function of the dtype and the flags: ds_[sr_]quantize[_asym]",
     .refusals = kFakeRefusals,
     .functions = kDsQuantizer},
    {.name = "dequantize_bf16",
     .arguments = "codes, params, groups, num_bits, type",
     .header = kQuantizeHeader,
     .tensors = kDequantizeBf16Tensors,
     .bits = kCodeWidths,
     .formula = kDequantizeFormula,
     .refusals = kWithCodes,
     .functions = kDequantizeBf16Programs},
}};

struct RefusalText {
    string_view name;
    string_view meaning;
};
constexpr std::array<RefusalText, kRefusals> kRefusalTexts = {{
    {"dtype", "a tensor, or the argument `dtype`, of a dtype that the table does not have there "
              "(`UnsupportedDtype`)"},
    {"count", "a tensor, an output among them, with more or fewer elements than the shapes say"},
    {"device", "tensors on different devices"},
    {"memory", "elements at a null pointer, at one that is not aligned to them, or past the end of "
               "the address space; a read-only tensor that is written; an output without memory or "
               "an allocator"},
    {"overlap", "what is written, or the allocator gives, overlaps another tensor of the call "
                "(fake quantization's output "
                "may be the input itself)"},
    {"options", "a stream or `device_random` with host tensors, fewer than 0 threads, random "
                "numbers for an op with codes that draws none"},
    {"bits", "a width that the table does not have"},
    {"type", "a quantization type that is neither"},
    {"groups", "fewer than 1 group, or groups that do not divide the elements"},
    {"whole bytes", "a group whose codes do not fill whole bytes"},
    {"sizes", "num_group or group_size below 0"},
    {"partitions", "pipeline_size, nodes or devices_per_node below 1, or a product of them that "
                   "does not divide the groups"},
    {"devices", "devices_per_node below 1, or not dividing the codes' last dimension or in_groups"},
    {"range", "a count of elements past 2^63 - 1, or bytes past the address space"},
}};

}  // namespace

std::string_view name(Refusal refusal) noexcept {
    return kRefusalTexts[static_cast<std::size_t>(refusal)].name;
}

std::string_view meaning(Refusal refusal) noexcept {
    return kRefusalTexts[static_cast<std::size_t>(refusal)].meaning;
}

bool is_program_of(std::string_view function, std::string_view program) noexcept {
    return program.starts_with(function) &&
           (program.size() == function.size() || program[function.size()] == '_');
}

bool OpInfo::runs_program(std::string_view program) const noexcept {
    return std::any_of(functions.begin(), functions.end(),
                       [&](std::string_view function) { return is_program_of(function, program); });
}

std::span<const OpInfo> op_table() noexcept {
    return kTable;
}

}  // namespace opforge::runtime
