#include "kernel_cells.hpp"

#include <opforge/opforge.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace opforge::bench {
namespace {

using driver::StreamHandle;

constexpr std::int64_t kKi = std::int64_t{1} << 10U;
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
        if (feedback) {
            loco_swizzle_quant(values(memory.input, of), values(memory.error, of), 0.8F, groups,
                               of.bits, of.type, 1, kSwizzleNodes, kSwizzleDevices, call);
        } else {
            swizzle_quant(values(memory.input, of), groups, of.bits, of.type, 1, kSwizzleNodes,
                          kSwizzleDevices, call);
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

std::int64_t values_in(std::int64_t mebibytes, Dtype dtype) {
    return mebibytes * kMi / static_cast<std::int64_t>(runtime::size_bytes(dtype));
}

/// Sizes of groups by sizes of tensors, in values.
using Shapes = std::map<std::int64_t, std::set<std::int64_t>>;

Shapes ds_quantizer_shapes(Dtype dtype, bool thorough) {
    Shapes shapes;
    for (const std::int64_t elements : {64 * kMi, 16 * kMi, kMi, 64 * kKi, 4 * kKi}) {
        if (!thorough && elements != 64 * kMi) {
            continue;
        }
        std::set<std::int64_t>& sizes = shapes[elements];
        for (std::int64_t size = 16; size <= elements; size *= thorough ? 2 : 4) {
            sizes.insert(size);
        }
        sizes.insert(std::min(elements, 128 * kKi));
    }
    for (const std::int64_t mebibytes : {2, 8, 32, 64, 128, 256}) {
        const std::int64_t elements = values_in(mebibytes, dtype);
        shapes[elements].insert(elements);
    }
    for (const std::int64_t mebibytes : {2, 4, 8, 16, 32}) {
        shapes[values_in(128, dtype)].insert(values_in(mebibytes, dtype));
    }
    return shapes;
}

void add_ds_quantizer(std::vector<Cell>& to, bool thorough) {
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        if (!thorough && dtype == Dtype::bfloat16) {
            continue;
        }
        for (const auto type : {QuantizationType::symmetric, QuantizationType::asymmetric}) {
            for (const bool stochastic : {false, true}) {
                for (const auto& [elements, sizes] : ds_quantizer_shapes(dtype, thorough)) {
                    for (const std::int64_t size : sizes) {
                        to.push_back(
                            ds_quantizer_cell({dtype, 8, type, stochastic, size, elements, 1}));
                    }
                }
                // One kernel serves every width, which it is told.
                to.push_back(ds_quantizer_cell({dtype, 4, type, stochastic, 128, 64 * kMi, 1}));
                for (const int bits : {2, 3, 4, 6, 12, 16}) {
                    for (const std::int64_t size : {256L, 4 * kKi, 64 * kKi}) {
                        if (thorough) {
                            to.push_back(ds_quantizer_cell(
                                {dtype, bits, type, stochastic, size, 64 * kMi, 1}));
                        }
                    }
                }
            }
        }
    }
}

void add_smaller_tensors(std::vector<Cell>& to, Settings of) {
    for (const std::int64_t elements : {4 * kKi, 64 * kKi, kMi, 16 * kMi}) {
        of.elements = elements;
        to.push_back(quantize_cell(of));
        to.push_back(dequantize_cell(of));
        if (of.bits != 2 && elements >= kMi) {  // groups for sixteen devices
            to.push_back(swizzle_cell(of, false));
            to.push_back(swizzle_cell(of, true));
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
                if (thorough) {
                    add_smaller_tensors(to, {dtype, bits, type, false, 2048, kMi, 1});
                }
                if (bits == 2 || (!thorough && dtype == Dtype::bfloat16)) {
                    continue;
                }
                if (dtype == Dtype::float16) {
                    for (const std::int64_t devices : {2, 4, 8, 16}) {
                        to.push_back(reduction_cell(
                            {dtype, bits, type, false, 2048, 256 * kMi, devices}, false));
                    }
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

nlohmann::json describe(const Cell& cell) {
    return {{"name", cell.name()},
            {"op", cell.op},
            {"dtype", cell.dtype},
            {"bits", cell.bits},
            {"type", cell.type},
            {"rounding", cell.stochastic ? "stochastic" : "nearest"},
            {"group_size", cell.group_size},
            {"elements", cell.elements},
            {"devices", cell.devices},
            {"bytes", cell.bytes}};
}

std::vector<Cell> all_cells(bool thorough) {
    std::vector<Cell> cells;
    add_ds_quantizer(cells, thorough);
    add_codes(cells, thorough);
    return cells;
}

std::vector<Cell> replay_cells() {
    std::vector<Cell> cells;
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        for (const auto type : {QuantizationType::symmetric, QuantizationType::asymmetric}) {
            for (const bool stochastic : {false, true}) {
                for (const std::int64_t elements : {4 * kKi, 16 * kKi, 64 * kKi, 256 * kKi, kMi}) {
                    for (const std::int64_t size : {16L, 128L, 1 * kKi, 4 * kKi, 16 * kKi}) {
                        if (size <= elements) {
                            cells.push_back(
                                ds_quantizer_cell({dtype, 8, type, stochastic, size, elements, 1}));
                        }
                    }
                }
            }
        }
    }
    return cells;
}

std::vector<Cell> baseline_cells() {
    std::vector<Cell> cells;
    const auto fake = [&](Dtype dtype, QuantizationType type, bool stochastic, std::int64_t size) {
        cells.push_back(ds_quantizer_cell({dtype, 8, type, stochastic, size, 64 * kMi, 1}));
    };
    constexpr auto kSymmetric = QuantizationType::symmetric;
    constexpr auto kAsymmetric = QuantizationType::asymmetric;
    for (const std::int64_t size :
         {64L, 128L, 256L, 1 * kKi, 4 * kKi, 16 * kKi, 64 * kKi, kMi, 64 * kMi}) {
        fake(Dtype::float16, kSymmetric, false, size);
        fake(Dtype::float16, kAsymmetric, false, size);
        fake(Dtype::float16, kSymmetric, true, size);
    }
    for (const std::int64_t size : {256L, 4 * kKi}) {
        fake(Dtype::float16, kAsymmetric, true, size);
        fake(Dtype::float32, kSymmetric, false, size);
        fake(Dtype::float32, kAsymmetric, false, size);
        fake(Dtype::float32, kSymmetric, true, size);
    }
    for (const int bits : {8, 4}) {
        Settings of{Dtype::float16, bits, kSymmetric, false, 2048, 64 * kMi, 1};
        cells.push_back(quantize_cell(of));
        cells.push_back(dequantize_cell(of));
        cells.push_back(swizzle_cell(of, false));
        cells.push_back(swizzle_cell(of, true));
        of.dtype = Dtype::float32;
        cells.push_back(dequantize_cell(of));
        of.dtype = Dtype::float16;
        of.devices = 8;
        cells.push_back(reduction_cell(of, false));
        cells.push_back(reduction_cell(of, true));
    }
    return cells;
}

}  // namespace opforge::bench
