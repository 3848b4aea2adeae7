// The op table against what the ops do: on host tensors, a call is taken exactly where the table
// says so.
#include <opforge/base/error.hpp>
#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/gradient_reduction.hpp>
#include <opforge/runtime/op_outputs.hpp>
#include <opforge/runtime/op_table.hpp>
#include <opforge/runtime/quantize.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace opforge::runtime;
using opforge::InvalidArgument;

namespace {

constexpr std::array kAllDtypes = {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64,
                                   Dtype::int8,    Dtype::uint8,    Dtype::int16,   Dtype::int32,
                                   Dtype::int64,   Dtype::boolean};

constexpr std::int64_t kHuge = std::int64_t{1} << 62U;

/// The arguments of every op, and its tensors by the table's names; "output" and "params" are the
/// options' where the op writes them.
struct Call {
    std::map<std::string_view, TensorView> tensors;
    std::int64_t groups = 4;  // in_groups, num_group
    std::int64_t group_size = 16;
    std::int64_t out_groups = 2;
    int bits = 8;
    QuantizationType type = QuantizationType::symmetric;
    std::int64_t pipeline = 1;
    std::int64_t nodes = 2;
    std::int64_t devices = 2;
    Dtype dtype = Dtype::float16;
    int threads = 1;

    [[nodiscard]] TensorView operator[](std::string_view name) const { return tensors.at(name); }
    [[nodiscard]] std::optional<TensorView> option(std::string_view name) const {
        const auto found = tensors.find(name);
        return found == tensors.end() ? std::nullopt : std::optional(found->second);
    }
    [[nodiscard]] CallOptions call_options() const {
        CallOptions options;
        options.output = option("output");
        options.threads = threads;
        return options;
    }
    [[nodiscard]] OpOptions op_options(bool with_params) const {
        OpOptions options;
        options.output = option("output");
        if (with_params) {
            options.params = option("params");
        }
        options.threads = threads;
        return options;
    }
};

using Function = std::function<void(const Call&)>;

template <class Fake>
Function fake(Fake function) {
    return [function](const Call& call) {
        function(call["vals"], call.groups, call.bits, call.call_options());
    };
}
template <class Dequantize>
Function dequantizer(Dequantize function) {
    return [function](const Call& call) {
        function(call["codes"], call["params"], call.groups, call.bits, call.type,
                 call.op_options(false));
    };
}
template <class Dequantize>
Function experimental(Dequantize function) {
    return [function](const Call& call) {
        function(call["data"], call["scale"], call["min"], call.groups, call.group_size,
                 call.op_options(false));
    };
}

const std::map<std::string_view, Function>& functions() {
    static const std::map<std::string_view, Function> all = {
        {"ds_quantize_fp16", fake(ds_quantize_fp16)},
        {"ds_quantize_fp32", fake(ds_quantize_fp32)},
        {"ds_sr_quantize_fp16", fake(ds_sr_quantize_fp16)},
        {"ds_sr_quantize_fp32", fake(ds_sr_quantize_fp32)},
        {"ds_quantize_asym_fp16", fake(ds_quantize_asym_fp16)},
        {"ds_quantize_asym_fp32", fake(ds_quantize_asym_fp32)},
        {"ds_sr_quantize_asym_fp16", fake(ds_sr_quantize_asym_fp16)},
        {"ds_sr_quantize_asym_fp32", fake(ds_sr_quantize_asym_fp32)},
        {"ds_quantizer",
         [](const Call& call) {
             ds_quantizer(call["input"], call.groups, call.bits, false, false, call.call_options());
         }},
        {"quantize",
         [](const Call& call) {
             quantize(call["input"], call.groups, call.bits, call.type, call.op_options(true));
         }},
        {"dequantize",
         [](const Call& call) {
             dequantize(call["codes"], call["params"], call.groups, call.bits, call.type,
                        call.op_options(false), call.dtype);
         }},
        {"dequantize_fp32", dequantizer(dequantize_fp32)},
        {"dequantize_bf16", dequantizer(dequantize_bf16)},
        {"dequantize_int4_to_half_experimental",
         experimental(dequantize_int4_to_half_experimental)},
        {"dequantize_int8_to_half_experimental",
         experimental(dequantize_int8_to_half_experimental)},
        {"swizzle_quant",
         [](const Call& call) {
             swizzle_quant(call["input"], call.groups, call.bits, call.type, call.pipeline,
                           call.nodes, call.devices, call.op_options(true));
         }},
        {"loco_swizzle_quant",
         [](const Call& call) {
             loco_swizzle_quant(call["input"], call["error_feedback"], 0.5F, call.groups, call.bits,
                                call.type, call.pipeline, call.nodes, call.devices,
                                call.op_options(true));
         }},
        {"quantized_reduction",
         [](const Call& call) {
             quantized_reduction(call["codes"], call["scales"], call.groups, call.out_groups,
                                 call.bits, call.type, call.devices, call.op_options(true),
                                 call.dtype);
         }},
        {"loco_quantized_reduction",
         [](const Call& call) {
             loco_quantized_reduction(call["codes"], call["scales"], call["error_feedback"], 0.5F,
                                      call.groups, call.out_groups, call.bits, call.type,
                                      call.devices, call.op_options(true));
         }},
    };
    return all;
}

std::vector<OpInfo> callable_ops() {
    std::vector<OpInfo> ops;
    for (const OpInfo& op : op_table()) {
        if (!op.is_enumeration()) {
            ops.push_back(op);
        }
    }
    return ops;
}

bool reduces(const OpInfo& op) {
    return op.refusals.contains(Refusal::devices);
}
bool is_experimental(const OpInfo& op) {
    return op.refusals.contains(Refusal::sizes);
}

Dtype first_of(SmallSet<Dtype> set) {
    return *std::find_if(kAllDtypes.begin(), kAllDtypes.end(),
                         [&](Dtype dtype) { return set.contains(dtype); });
}

/// A call that the table says is good, with memory for any dtype: four groups of sixteen elements.
class Good {
public:
    explicit Good(const OpInfo& op, int bits) : op_(op) {
        call_.bits = bits;
        for (const OpTensor& tensor : op.tensors) {
            memory_.push_back(std::make_unique<std::array<double, 80>>());
            call_.tensors[tensor.name] = {memory_.back()->data(), first_of(tensor.dtypes),
                                          Shape{elements(tensor)}, Device::cpu()};
        }
    }
    explicit Good(const OpInfo& op) : Good(op, op.bits.contains(8) ? 8 : 4) {}

    /// Of the tensor and all that follows it.
    void set_dtype(std::string_view tensor_or_argument, Dtype dtype) {
        if (tensor_or_argument == "dtype") {
            call_.dtype = dtype;
        } else {
            call_.tensors[tensor_or_argument].dtype = dtype;
        }
        for (const OpTensor& tensor : op_.tensors) {
            if (tensor.follows == tensor_or_argument) {
                set_dtype(tensor.name, dtype);
            }
        }
    }

    [[nodiscard]] Call& call() { return call_; }

    [[nodiscard]] bool is_taken() const {
        try {
            functions().at(op_.name)(call_);
            return true;
        } catch (const InvalidArgument&) {
            return false;
        }
    }

private:
    [[nodiscard]] std::int64_t elements(const OpTensor& tensor) const {
        const std::int64_t shared = reduces(op_) ? call_.devices : 1;
        if (tensor.name == "output") {
            const bool of_codes = tensor.dtypes.contains(Dtype::int8);
            return (of_codes ? bytes(64) : 64) / shared;
        }
        if (tensor.name == "params" && tensor.access == Access::written) {
            return reduces(op_) ? call_.out_groups : call_.groups;
        }
        if (tensor.name == "codes" || tensor.name == "data") {
            return bytes(64);
        }
        if (tensor.name == "error_feedback") {
            return 64 / shared;
        }
        if (tensor.name == "input" || tensor.name == "vals") {
            return 64;
        }
        return call_.groups;
    }
    [[nodiscard]] std::int64_t bytes(std::int64_t codes) const {
        return op_.bits.contains(call_.bits) ? codes * call_.bits / 8 : codes;
    }

    OpInfo op_;
    Call call_;
    std::vector<std::unique_ptr<std::array<double, 80>>> memory_;
};

}  // namespace

TEST_CASE("the table has DeepSpeed's eighteen bindings in their order, then opforge's own",
          "[runtime][op_table]") {
    std::vector<std::string_view> names;
    for (const OpInfo& op : op_table()) {
        names.push_back(op.name);
        CHECK(op.binding == (names.size() <= 18 ? static_cast<int>(names.size()) : 0));
    }
    CHECK(names == std::vector<std::string_view>{"ds_quantize_fp16",
                                                 "ds_quantize_fp32",
                                                 "ds_sr_quantize_fp16",
                                                 "ds_sr_quantize_fp32",
                                                 "ds_quantize_asym_fp16",
                                                 "ds_quantize_asym_fp32",
                                                 "ds_sr_quantize_asym_fp16",
                                                 "ds_sr_quantize_asym_fp32",
                                                 "QuantizationType",
                                                 "quantize",
                                                 "dequantize",
                                                 "dequantize_fp32",
                                                 "dequantize_int4_to_half_experimental",
                                                 "dequantize_int8_to_half_experimental",
                                                 "swizzle_quant",
                                                 "quantized_reduction",
                                                 "loco_swizzle_quant",
                                                 "loco_quantized_reduction",
                                                 "ds_quantizer",
                                                 "dequantize_bf16"});
    CHECK(static_cast<int>(QuantizationType::symmetric) == 0);
    CHECK(static_cast<int>(QuantizationType::asymmetric) == 1);
}

TEST_CASE("every op takes the widths that the table says, and no other", "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (int bits = -1; bits <= 40; ++bits) {
            Good good(op, bits);
            if (is_experimental(op)) {  // the width is in the name
                good = Good(op);
            }
            INFO(op.name << ", " << bits << " bits");
            CHECK(good.is_taken() == (op.bits.contains(bits) || is_experimental(op)));
        }
    }
}

TEST_CASE("every tensor of every op takes the dtypes that the table says, and no other",
          "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (const OpTensor& tensor : op.tensors) {
            const std::string_view leader = tensor.follows.empty() ? tensor.name : tensor.follows;
            for (const Dtype dtype : kAllDtypes) {
                Good good(op);
                good.set_dtype(leader, dtype);
                INFO(op.name << ", " << tensor.name << " of " << to_string(dtype));
                CHECK(good.is_taken() == tensor.dtypes.contains(dtype));
            }
        }
    }
}

TEST_CASE("an argument dtype is one of those that the table says", "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (const Dtype dtype : kAllDtypes) {
            Good good(op);
            good.set_dtype("dtype", dtype);
            INFO(op.name << ", dtype " << to_string(dtype));
            // An op without the argument does not see it.
            CHECK(good.is_taken() ==
                  (op.dtype_argument.empty() || op.dtype_argument.contains(dtype)));
        }
    }
}

TEST_CASE("a tensor must have the dtype of the one that it follows", "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (const OpTensor& tensor : op.tensors) {
            for (const Dtype leader : kAllDtypes) {
                for (const Dtype dtype : kAllDtypes) {
                    if (tensor.follows.empty() || !tensor.dtypes.contains(leader)) {
                        continue;
                    }
                    Good good(op);
                    good.set_dtype(tensor.follows, leader);
                    good.set_dtype(tensor.name, dtype);
                    INFO(op.name << ", " << tensor.name << " of " << to_string(dtype)
                                 << " after one of " << to_string(leader));
                    CHECK(good.is_taken() == (dtype == leader));
                }
            }
        }
    }
}

TEST_CASE("every op refuses what the table says it refuses, and minds nothing else",
          "[runtime][op_table]") {
    struct Spoiler {
        Refusal refusal;
        std::function<void(Call&)> spoil;
    };
    const std::vector<Spoiler> of_arguments = {
        {Refusal::options, [](Call& call) { call.threads = -1; }},
        {Refusal::type, [](Call& call) { call.type = static_cast<QuantizationType>(2); }},
        {Refusal::partitions, [](Call& call) { call.nodes = 0; }},
        {Refusal::partitions, [](Call& call) { call.nodes = 3; }},
        {Refusal::partitions, [](Call& call) { call.pipeline = 3; }},
        {Refusal::sizes, [](Call& call) { call.group_size = -16; }},
    };
    for (const OpInfo& op : callable_ops()) {
        INFO(op.name);
        CHECK(Good(op).is_taken());
        for (const Spoiler& spoiler : of_arguments) {
            Good good(op);
            spoiler.spoil(good.call());
            INFO(name(spoiler.refusal));
            CHECK(good.is_taken() == !op.refusals.contains(spoiler.refusal));
        }
        for (const std::int64_t devices : {0, 3}) {
            Good good(op);
            good.call().devices = devices;
            CHECK(good.is_taken() == !(op.refusals.contains(Refusal::devices) ||
                                       op.refusals.contains(Refusal::partitions)));
        }
        for (const std::int64_t groups : {0, -4, 5}) {
            Good good(op);
            good.call().groups = groups;
            CHECK_FALSE(good.is_taken());  // for the experimental dequantizers a wrong count
        }
        Good huge(op);
        if (is_experimental(op)) {
            huge.call().groups = huge.call().group_size = kHuge;
        } else {
            huge.call().tensors.at(op.tensors.front().name).shape = Shape{kHuge};
        }
        CHECK_FALSE(huge.is_taken());
    }
}

TEST_CASE("only codes have to fill whole bytes", "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        if (!op.bits.contains(4)) {
            continue;
        }
        Good good(op, 4);
        // One element a group, as many as before.
        good.call().groups = 64;
        good.call().out_groups = 32;
        good.call().group_size = 1;
        for (auto& [name, tensor] : good.call().tensors) {
            if (tensor.elements() == 4) {
                tensor.shape = Shape{64};
            } else if (tensor.elements() == 2) {
                tensor.shape = Shape{32};
            }
        }
        INFO(op.name);
        CHECK(good.is_taken() == !op.refusals.contains(Refusal::whole_bytes));
    }
}

TEST_CASE("every tensor of every op is checked: count, device, memory, overlap",
          "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (const OpTensor& tensor : op.tensors) {
            INFO(op.name << ", " << tensor.name);
            CHECK(op.refusals.contains(Refusal::count));
            for (const std::int64_t change : {-1, 1}) {
                Good good(op);
                TensorView& view = good.call().tensors.at(tensor.name);
                view.shape = Shape{view.elements() + change};
                CHECK_FALSE(good.is_taken());
            }
            CHECK(op.refusals.contains(Refusal::device));
            Good elsewhere(op);
            elsewhere.call().tensors.at(tensor.name).device = Device::cuda(3);
            CHECK_FALSE(elsewhere.is_taken());
            CHECK(op.refusals.contains(Refusal::memory));
            Good nowhere(op);
            nowhere.call().tensors.at(tensor.name).data = nullptr;
            CHECK_FALSE(nowhere.is_taken());
            Good read_only(op);
            read_only.call().tensors.at(tensor.name).read_only = true;
            // What is changed in place is only read where the call brings another place.
            const bool elsewhere_written =
                tensor.access == Access::changed &&
                std::any_of(op.tensors.begin(), op.tensors.end(),
                            [](const OpTensor& other) { return other.access == Access::optional; });
            CHECK(read_only.is_taken() == (tensor.access == Access::read || elsewhere_written));
            CHECK(op.refusals.contains(Refusal::overlap));
            for (const OpTensor& other : op.tensors) {
                if (other.name == tensor.name) {
                    continue;
                }
                Good good(op);
                TensorView& view = good.call().tensors.at(tensor.name);
                const TensorView& there = good.call().tensors.at(other.name);
                view.data = static_cast<std::byte*>(there.data) + there.size_in_bytes() - 4;
                CHECK(good.is_taken() ==
                      (tensor.access == Access::read && other.access == Access::read));
            }
        }
        if (op.tensors.back().access == Access::written) {
            Good good(op);
            good.call().tensors.erase(op.tensors.back().name);
            CHECK_FALSE(good.is_taken());  // no memory, no allocator
        }
    }
}

TEST_CASE("an output left out of fake quantization is the input", "[runtime][op_table]") {
    for (const OpInfo& op : callable_ops()) {
        for (const OpTensor& tensor : op.tensors) {
            if (tensor.access == Access::optional) {
                Good good(op);
                good.call().tensors.erase(tensor.name);
                CHECK(good.is_taken());
            }
        }
    }
}

TEST_CASE("every program of the quantizer is one that an op of the table runs",
          "[runtime][op_table]") {
    const auto programs = opforge::builder::QuantizerBuilder().programs();
    std::set<std::string_view> functions;
    for (const OpInfo& op : op_table()) {
        functions.insert(op.functions.begin(), op.functions.end());
        CHECK(op.functions.empty() == op.is_enumeration());
    }
    // A function is named after what its programs' kernels begin with.
    for (const std::string_view function : functions) {
        INFO(function);
        CHECK(std::any_of(programs.begin(), programs.end(), [&](const auto& program) {
            return is_program_of(function, program.name);
        }));
    }
    for (const auto& program : programs) {
        INFO(program.name);
        CHECK(std::any_of(op_table().begin(), op_table().end(),
                          [&](const OpInfo& op) { return op.runs_program(program.name); }));
    }
    CHECK_FALSE(op_table()[0].runs_program("ds_quantize_fp16x"));
    CHECK_FALSE(op_table()[0].runs_program("ds_quantize_asym_fp16_groups"));
}
