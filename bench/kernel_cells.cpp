#include "kernel_cells.hpp"

#include <opforge/opforge.hpp>

#include <fmt/format.h>

#include <array>

namespace opforge::bench {
namespace {

using driver::StreamHandle;

constexpr std::int64_t kMi = std::int64_t{1} << 20U;
constexpr Device kDevice{Device::Kind::cuda, 0};

struct Settings {
    Dtype dtype = Dtype::float16;
    int bits = 8;
    QuantizationType type = QuantizationType::symmetric;
    bool stochastic = false;
    std::int64_t group_size = 128;
    std::int64_t elements = 64 * kMi;
    std::int64_t devices = 1;
};

Cell cell_of(std::string op, const Settings& of, double bytes) {
    Cell cell;
    cell.op = std::move(op);
    cell.dtype = of.dtype == Dtype::float16    ? "fp16"
                 : of.dtype == Dtype::bfloat16 ? "bf16"
                                               : "fp32";
    cell.bits = of.bits;
    cell.type = of.type == QuantizationType::symmetric ? "symmetric" : "asymmetric";
    cell.stochastic = of.stochastic;
    cell.group_size = of.group_size;
    cell.elements = of.elements;
    cell.devices = of.devices;
    cell.bytes = bytes;
    return cell;
}

double value_bytes(const Settings& of) {
    return static_cast<double>(of.elements) * static_cast<double>(runtime::size_bytes(of.dtype));
}
double code_bytes(const Settings& of, std::int64_t elements) {
    return static_cast<double>(elements) * of.bits / 8;
}
double record_bytes(const Settings& of, std::int64_t groups) {
    return static_cast<double>(groups) * (of.type == QuantizationType::asymmetric ? 8 : 4);
}

TensorView values(void* data, const Settings& of) {
    return {data, of.dtype, {of.elements}, kDevice};
}
TensorView codes(void* data, const Settings& of, std::int64_t elements) {
    return {data, Dtype::int8, {elements * of.bits / 8}, kDevice};
}
TensorView records(void* data, const Settings& of, std::int64_t groups) {
    return {
        data, Dtype::float32, {groups, of.type == QuantizationType::asymmetric ? 2 : 1}, kDevice};
}
OpOptions options(StreamHandle stream, const TensorView& output, const TensorView& params) {
    OpOptions result;
    result.stream = stream;
    result.output = output;
    result.params = params;
    return result;
}

Cell ds_quantizer_cell(const Settings& of) {
    Cell cell = cell_of("ds_quantizer", of, 2 * value_bytes(of));
    cell.run = [of](const CellMemory& memory, StreamHandle stream) {
        CallOptions call;
        call.stream = stream;
        call.output = values(memory.output, of);
        call.random = RandomState{1, 0};
        ds_quantizer(values(memory.input, of), of.elements / of.group_size, of.bits, of.stochastic,
                     of.type == QuantizationType::asymmetric, call);
    };
    return cell;
}

Cell quantize_cell(const Settings& of) {
    const std::int64_t groups = of.elements / of.group_size;
    Cell cell = cell_of("quantize", of,
                        value_bytes(of) + code_bytes(of, of.elements) + record_bytes(of, groups));
    cell.run = [of, groups](const CellMemory& memory, StreamHandle stream) {
        OpOptions call = options(stream, codes(memory.output, of, of.elements),
                                 records(memory.records, of, groups));
        call.stochastic = of.stochastic;
        if (of.stochastic) {
            call.random = RandomState{1, 0};
        }
        quantize(values(memory.input, of), groups, of.bits, of.type, call);
    };
    return cell;
}

Cell dequantize_cell(const Settings& of) {
    const std::int64_t groups = of.elements / of.group_size;
    Cell cell = cell_of("dequantize", of,
                        value_bytes(of) + code_bytes(of, of.elements) + record_bytes(of, groups));
    cell.run = [of, groups](const CellMemory& memory, StreamHandle stream) {
        OpOptions call;
        call.stream = stream;
        call.output = values(memory.output, of);
        dequantize(codes(memory.codes, of, of.elements), records(memory.params, of, groups), groups,
                   of.bits, of.type, call, of.dtype);
    };
    return cell;
}

Cell swizzle_cell(const Settings& of, bool feedback) {
    const std::int64_t groups = of.elements / of.group_size;
    Cell cell = cell_of(feedback ? "loco_swizzle_quant" : "swizzle_quant", of,
                        value_bytes(of) * (feedback ? 3 : 1) + code_bytes(of, of.elements) +
                            record_bytes(of, groups));
    cell.run = [of, groups, feedback](const CellMemory& memory, StreamHandle stream) {
        const OpOptions call = options(stream, codes(memory.output, of, of.elements),
                                       records(memory.records, of, groups));
        constexpr std::int64_t kNodes = 2;
        constexpr std::int64_t kDevices = 8;
        if (feedback) {
            loco_swizzle_quant(values(memory.input, of), values(memory.error, of), 0.8F, groups,
                               of.bits, of.type, 1, kNodes, kDevices, call);
        } else {
            swizzle_quant(values(memory.input, of), groups, of.bits, of.type, 1, kNodes, kDevices,
                          call);
        }
    };
    return cell;
}

/// of.elements: of all devices together.
Cell reduction_cell(const Settings& of, bool feedback) {
    const std::int64_t in_groups = of.elements / of.group_size;
    const std::int64_t elements = of.elements / of.devices;
    const std::int64_t out_groups = elements / of.group_size;
    const double error = static_cast<double>(elements) *
                         static_cast<double>(runtime::size_bytes(of.dtype)) * (feedback ? 2 : 0);
    Cell cell = cell_of(feedback ? "loco_quantized_reduction" : "quantized_reduction", of,
                        code_bytes(of, of.elements) + code_bytes(of, elements) +
                            record_bytes(of, in_groups) + record_bytes(of, out_groups) + error);
    cell.run = [=](const CellMemory& memory, StreamHandle stream) {
        const OpOptions call = options(stream, codes(memory.output, of, elements),
                                       records(memory.records, of, out_groups));
        const TensorView in = codes(memory.codes, of, of.elements);
        const TensorView scales = records(memory.params, of, in_groups);
        if (feedback) {
            const TensorView kept{memory.error, of.dtype, {elements}, kDevice};
            loco_quantized_reduction(in, scales, kept, 0.8F, in_groups, out_groups, of.bits,
                                     of.type, of.devices, call);
        } else {
            quantized_reduction(in, scales, in_groups, out_groups, of.bits, of.type, of.devices,
                                call, of.dtype);
        }
    };
    return cell;
}

void add_ds_quantizer(std::vector<Cell>& to, bool thorough) {
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        for (const auto type : {QuantizationType::symmetric, QuantizationType::asymmetric}) {
            for (const bool stochastic : {false, true}) {
                for (const std::int64_t elements : {64 * kMi, 16 * kMi, kMi, kMi / 256}) {
                    const bool common = dtype != Dtype::bfloat16 && elements == 64 * kMi;
                    if (!thorough && !common) {
                        continue;
                    }
                    for (std::int64_t size = 16; size <= elements; size *= 4) {
                        to.push_back(
                            ds_quantizer_cell({dtype, 8, type, stochastic, size, elements, 1}));
                    }
                    to.push_back(ds_quantizer_cell({dtype, 4, type, stochastic, 128, elements, 1}));
                    to.push_back(
                        ds_quantizer_cell({dtype, 8, type, stochastic, elements, elements, 1}));
                }
            }
        }
    }
}

void add_codes(std::vector<Cell>& to, bool thorough) {
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        for (const auto type : {QuantizationType::symmetric, QuantizationType::asymmetric}) {
            for (const int bits : {8, 4, 2}) {
                const std::int64_t elements = 64 * kMi;
                for (const std::int64_t size : {64, 512, 2048, 16384, 131072}) {
                    if (!thorough && (size == 64 || size == 16384 || dtype == Dtype::bfloat16 ||
                                      (type == QuantizationType::asymmetric && size != 2048))) {
                        continue;
                    }
                    const Settings of{dtype, bits, type, false, size, elements, 1};
                    to.push_back(quantize_cell(of));
                    to.push_back(dequantize_cell(of));
                    if (bits != 2) {
                        to.push_back(swizzle_cell(of, false));
                        to.push_back(swizzle_cell(of, true));
                    }
                }
                if (bits == 2 || (!thorough && dtype == Dtype::bfloat16)) {
                    continue;
                }
                for (const std::int64_t devices : {2, 4, 8, 16}) {
                    const Settings of{dtype, bits, type, false, 2048, elements, devices};
                    to.push_back(reduction_cell(of, false));
                    to.push_back(reduction_cell(of, true));
                }
            }
        }
    }
    Settings stochastic;
    stochastic.stochastic = true;
    stochastic.group_size = 2048;
    to.push_back(quantize_cell(stochastic));
}

}  // namespace

std::string Cell::name() const {
    return fmt::format("{} {} {} {} {} group {} of {}{}", op, dtype, bits, type,
                       stochastic ? "stochastic" : "nearest", group_size, elements,
                       devices > 1 ? fmt::format(" from {} devices", devices) : "");
}

std::vector<Cell> all_cells(bool thorough) {
    std::vector<Cell> cells;
    add_ds_quantizer(cells, thorough);
    add_codes(cells, thorough);
    return cells;
}

}  // namespace opforge::bench
