// Calls of the ops with codes that must not be: a typed error that names the op and what is wrong,
// and not a byte written.
#include "ops_sweep.hpp"

#include <opforge/base/error.hpp>
#include <opforge/runtime/errors.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace runtime = opforge::runtime;
using Catch::Matchers::Contains;
using opforge::InvalidArgument;
using runtime::Device;
using runtime::Dtype;
using runtime::Shape;
using runtime::TensorView;
using namespace opforge::test;

namespace {

constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

constexpr std::array<Op, kOps> kAllOps = {Op::quantize,
                                          Op::dequantize,
                                          Op::dequantize_int4,
                                          Op::dequantize_int8,
                                          Op::swizzle_quant,
                                          Op::loco_swizzle_quant,
                                          Op::quantized_reduction,
                                          Op::loco_quantized_reduction};

bool is_experimental(Op op) {
    return op == Op::dequantize_int4 || op == Op::dequantize_int8;
}
bool swizzles(Op op) {
    return op == Op::swizzle_quant || op == Op::loco_swizzle_quant;
}
bool reduces(Op op) {
    return op == Op::quantized_reduction || op == Op::loco_quantized_reduction;
}

// A good call, in memory of which every byte is watched, for tests to spoil.
class Spoiled {
public:
    explicit Spoiled(const OpsCase& of) {
        const OpsTensors tensors = make_tensors(of);
        ByRole<void*> memory{};
        for (const Role role : kAllRoles) {
            if (tensors[role].has_value()) {
                before_[role] = tensors[role]->bytes;
                memory_[role].emplace(before_[role], 0);
                memory[role] = memory_[role]->data();
            }
        }
        call = make_call(of, tensors, memory, Device::cpu());
    }
    /// Fp16, symmetric; four groups of sixteen, eight bits where the op has a choice.
    explicit Spoiled(Op op) : Spoiled(ops_case(op, 0, 16)) {}

    [[nodiscard]] TensorView& tensor(Role role) { return *call.tensors[role]; }
    [[nodiscard]] bool has(Role role) const { return call.tensors[role].has_value(); }
    [[nodiscard]] std::string op_name() const { return std::string(name(call.op, call.dtype)); }

    /// The error's text, after checks that it is typed, names the op and `value`, and that nothing
    /// was written.
    std::string check_refused(const std::string& value) {
        INFO(op_name() << ", " << value);
        std::string text = "taken";
        try {
            run(call);
        } catch (const InvalidArgument& error) {
            kind = error.kind();
            text = error.what();
        }
        CHECK_THAT(text, Contains(op_name() + ":") && Contains(value));
        for (const Role role : kAllRoles) {
            if (memory_[role].has_value()) {
                const auto bytes = memory_[role]->bytes();
                CHECK(std::equal(bytes.begin(), bytes.end(), before_[role].begin()));
                CHECK(memory_[role]->border_is_intact());
            }
        }
        return text;
    }

    OpsCall call;
    std::string kind;

private:
    ByRole<opforge::Bytes> before_;
    ByRole<std::optional<GuardedTensor>> memory_;
};

void for_each_op(const std::function<void(Op)>& visit) {
    for (const Op op : kAllOps) {
        visit(op);
    }
}

void for_each_tensor(const std::function<void(Op, Role)>& visit) {
    for (const Op op : kAllOps) {
        const Spoiled good(op);
        for (const Role role : kAllRoles) {
            if (good.has(role)) {
                visit(op, role);
            }
        }
    }
}

}  // namespace

TEST_CASE("the calls that the tests spoil are good", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        const Spoiled good(op);
        CHECK_NOTHROW(run(good.call));
    });
}

TEST_CASE("a tensor of a dtype that an op with codes does not take is refused by name",
          "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        for (const Dtype dtype : {Dtype::int32, Dtype::float64, Dtype::boolean}) {
            Spoiled call(op);
            call.tensor(role).dtype = dtype;
            call.check_refused(std::string(runtime::to_string(dtype)));
            CHECK(call.kind == "UnsupportedDtype");
        }
    });
}

TEST_CASE("tensors whose dtypes do not go together are refused", "[runtime][bad_input]") {
    Spoiled mixed(Op::loco_swizzle_quant);
    mixed.tensor(Role::error).dtype = Dtype::bfloat16;
    mixed.check_refused("bfloat16");
    for (const Dtype dtype : {Dtype::bfloat16, Dtype::int16}) {  // not the result's
        Spoiled output(Op::dequantize);
        output.tensor(Role::output).dtype = dtype;
        output.check_refused(std::string(runtime::to_string(dtype)));
    }
    Spoiled values(Op::quantize);
    values.tensor(Role::output).dtype = Dtype::float16;
    values.check_refused("float16");
    for (const Op op : {Op::dequantize_int4, Op::dequantize_int8}) {
        for (const Role role : {Role::records, Role::min}) {
            Spoiled scale(op);
            scale.tensor(role).dtype = Dtype::bfloat16;
            scale.check_refused("bfloat16");
        }
    }
}

TEST_CASE("a result or sum of a dtype that there is none of is refused", "[runtime][bad_input]") {
    for (const Op op : {Op::dequantize, Op::quantized_reduction}) {
        for (const Dtype dtype : {Dtype::float64, Dtype::int8}) {
            Spoiled call(op);
            call.call.dtype = dtype;
            call.check_refused(std::string(runtime::to_string(dtype)));
            CHECK(call.kind == "UnsupportedDtype");
        }
    }
}

TEST_CASE("a tensor with an element too many or too few is refused", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        for (const std::int64_t change : {-1, 1}) {
            Spoiled call(op);
            const std::int64_t wrong = call.tensor(role).elements() + change;
            call.tensor(role).shape = Shape{wrong};
            call.check_refused(std::to_string(wrong));
        }
    });
}

TEST_CASE("tensors on different devices are refused", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        Spoiled call(op);
        call.tensor(role).device = Device::cuda(3);
        call.check_refused("cuda:3");
    });
}

TEST_CASE("a null pointer to elements is refused in the ops with codes", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        Spoiled call(op);
        call.tensor(role).data = nullptr;
        call.check_refused("null");
    });
}

TEST_CASE("a pointer that is not aligned to its element is refused in the ops with codes",
          "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        const Spoiled good(op);
        const std::size_t size = runtime::size_bytes(good.call.tensors[role]->dtype);
        for (std::size_t off = 1; off < size; ++off) {
            Spoiled call(op);
            call.tensor(role).data = static_cast<std::byte*>(call.tensor(role).data) + off;
            call.check_refused("align");
        }
    });
}

TEST_CASE("what is written must not overlap another tensor of the call", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role written) {
        if (written != Role::output && written != Role::params && written != Role::error) {
            return;
        }
        for (const Role other : kAllRoles) {
            if (other == written || !Spoiled(op).has(other)) {
                continue;
            }
            Spoiled same(op);
            same.tensor(written).data = same.tensor(other).data;
            same.check_refused("overlap");
            Spoiled partly(op);  // their ends
            const std::size_t size = partly.tensor(other).size_in_bytes();
            partly.tensor(written).data =
                static_cast<std::byte*>(partly.tensor(other).data) + (size - 4);
            partly.check_refused("overlap");
        }
    });
}

TEST_CASE("what is only read may overlap, and neighbours may touch", "[runtime][bad_input]") {
    Spoiled shared(Op::dequantize_int8);
    shared.tensor(Role::min).data = shared.tensor(Role::records).data;
    CHECK_NOTHROW(run(shared.call));

    std::vector<float> block(64 + 16 + 4);
    Spoiled touching(ops_case(Op::quantize, 2, 16));  // fp32
    touching.tensor(Role::input).data = block.data();
    touching.tensor(Role::output).data = block.data() + 64;
    touching.tensor(Role::params).data = block.data() + 80;
    CHECK_NOTHROW(run(touching.call));
}

TEST_CASE("a bit width that an op with codes has not is refused", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        if (is_experimental(op)) {
            return;
        }
        std::vector<int> widths = {0, 1, 3, 16, -4, 32, std::numeric_limits<int>::min()};
        if (op != Op::quantize && op != Op::dequantize) {
            widths.push_back(2);
        }
        for (const int bits : widths) {
            Spoiled call(op);
            call.call.bits = bits;
            call.check_refused("num_bits is " + std::to_string(bits));
        }
    });
}

TEST_CASE("a quantization type that is none is refused", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        if (!is_experimental(op)) {
            Spoiled call(op);
            call.call.type = static_cast<runtime::QuantizationType>(7);
            call.check_refused("7");
        }
    });
}

TEST_CASE("group counts below one are refused in the ops with codes", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        for (const std::int64_t groups : {std::int64_t{0}, std::int64_t{-1}, kSmallest}) {
            if (is_experimental(op) && groups == 0) {
                continue;  // none is a number of groups there, but not that of these tensors
            }
            Spoiled call(op);
            call.call.groups = groups;
            call.check_refused(std::to_string(groups));
            if (reduces(op)) {
                Spoiled out(op);
                out.call.out_groups = groups;
                out.check_refused(std::to_string(groups));
            }
        }
    });
}

TEST_CASE("group counts that do not divide are refused in the ops with codes",
          "[runtime][bad_input]") {
    for_each_op([](Op op) {
        for (const std::int64_t groups : {std::int64_t{6}, std::int64_t{130}, kLargest - 1}) {
            if (is_experimental(op) && groups > kLargest / 16) {
                continue;  // see "counts past 2^63"
            }
            Spoiled call(op);
            call.call.groups = groups;
            // A reduction's: those of one device.
            const std::int64_t named = reduces(op) ? groups / 2 : groups;
            call.check_refused(is_experimental(op) ? "must have" : std::to_string(named));
        }
    });
    for (const Op op : {Op::quantized_reduction, Op::loco_quantized_reduction}) {
        Spoiled odd(op);  // of two devices
        odd.call.groups = 5;
        odd.check_refused("5");
        for (const std::int64_t groups : {std::int64_t{3}, std::int64_t{64}, kLargest}) {
            Spoiled out(op);
            out.call.out_groups = groups;
            out.check_refused(std::to_string(groups));
        }
    }
}

TEST_CASE("groups that do not fill whole bytes are refused", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        if (op == Op::dequantize_int8) {
            return;
        }
        Spoiled call(op);
        call.call.bits = 4;
        if (op == Op::dequantize_int4) {
            call.call.group_size = 15;
            call.check_refused("15");
            return;
        }
        // As many elements as make groups of three.
        const bool of_codes = op == Op::dequantize || reduces(op);
        call.tensor(Role::input).shape = Shape{of_codes ? (reduces(op) ? 12 : 6) : 12};
        call.call.groups = reduces(op) ? 8 : 4;
        CHECK_THAT(call.check_refused("3"), Contains("whole bytes"));
    });
    for (const Op op : {Op::quantized_reduction, Op::loco_quantized_reduction}) {
        Spoiled out(op);
        out.call.bits = 4;
        out.tensor(Role::input).shape = Shape{12};  // twelve elements a device
        out.call.groups = 2;
        out.call.out_groups = 4;
        CHECK_THAT(out.check_refused("3"), Contains("whole bytes"));
    }
    Spoiled two(Op::quantize);
    two.call.bits = 2;
    two.tensor(Role::input).shape = Shape{24};
    CHECK_THAT(two.check_refused("6"), Contains("whole bytes"));
}

TEST_CASE("swizzles of counts below one, or that do not divide the groups, are refused",
          "[runtime][bad_input]") {
    for_each_op([](Op op) {
        if (!swizzles(op)) {
            return;
        }
        for (std::int64_t OpsCall::*const count :
             {&OpsCall::pipeline, &OpsCall::nodes, &OpsCall::devices}) {
            for (const std::int64_t value :
                 {std::int64_t{0}, std::int64_t{-3}, std::int64_t{3}, kSmallest, kLargest}) {
                Spoiled call(op);  // four groups, two nodes of two devices
                call.call.*count = value;
                call.check_refused(std::to_string(value));
            }
        }
        Spoiled huge(op);
        huge.call.nodes = std::int64_t{1} << 40U;
        huge.call.devices = std::int64_t{1} << 40U;
        huge.check_refused(std::to_string(std::int64_t{1} << 40U));
    });
}

TEST_CASE("device counts that do not divide a reduction's codes are refused",
          "[runtime][bad_input]") {
    for_each_op([](Op op) {
        if (!reduces(op)) {
            return;
        }
        for (const std::int64_t devices :
             {std::int64_t{0}, std::int64_t{-2}, std::int64_t{3}, kSmallest, kLargest}) {
            Spoiled call(op);
            call.call.devices = devices;
            call.check_refused(std::to_string(devices));
        }
        Spoiled narrow(op);  // the count divides, the last dimension does not
        narrow.call.devices = 4;
        narrow.tensor(Role::input).shape = Shape{32, 2};
        narrow.check_refused("2");
    });
}

TEST_CASE("sizes of the experimental dequantizers that cannot be are refused",
          "[runtime][bad_input]") {
    for (const Op op : {Op::dequantize_int4, Op::dequantize_int8}) {
        Spoiled negative(op);
        negative.call.group_size = -16;
        negative.check_refused("-16");
        Spoiled both(op);  // their product would do
        both.call.group_size = -16;
        both.call.groups = -4;
        both.check_refused("-4");
        Spoiled none(op);
        none.call.groups = 0;
        none.check_refused("0");
        Spoiled other(op);
        other.call.group_size = 18;
        other.check_refused("must have");
    }
}

TEST_CASE("an output without memory and without an allocator is refused", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        if (role == Role::output || role == Role::params) {
            Spoiled call(op);
            call.call.tensors[role].reset();
            call.check_refused("allocate");
        }
    });
}

TEST_CASE("an allocator that gives nothing is refused", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        if (role == Role::output || role == Role::params) {
            Spoiled call(op);
            const std::size_t size = call.tensor(role).size_in_bytes();
            call.call.tensors[role].reset();
            std::size_t asked = 0;
            call.call.options.allocate = [&](std::size_t size_bytes, Device) -> void* {
                asked = size_bytes;
                return nullptr;
            };
            call.check_refused("allocate");
            CHECK(asked == size);
        }
    });
}

TEST_CASE("an allocator that gives memory of another tensor, or the same twice, is refused",
          "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        if (role == Role::output || role == Role::params) {
            for (const Role other : kAllRoles) {
                Spoiled call(op);
                if (other == role || !call.has(other)) {
                    continue;
                }
                void* const taken = call.tensor(other).data;
                call.call.tensors[role].reset();
                call.call.options.allocate = [taken](std::size_t, Device) { return taken; };
                CHECK_THAT(call.check_refused("allocate"), Contains("overlaps"));
            }
        }
        if (role == Role::params) {
            Spoiled call(op);
            std::vector<double> scratch(64);
            call.call.tensors[Role::output].reset();
            call.call.tensors[Role::params].reset();
            call.call.options.allocate = [&scratch](std::size_t, Device) -> void* {
                return scratch.data();
            };
            CHECK_THAT(call.check_refused("allocate"), Contains("overlaps"));
        }
    });
}

TEST_CASE("memory is asked for only when all else is right, and what the allocator throws comes "
          "through",
          "[runtime][bad_input]") {
    for_each_op([](Op op) {
        struct NoMemory {};
        Spoiled call(op);
        call.call.tensors[Role::output].reset();
        call.call.options.allocate = [](std::size_t, Device) -> void* { throw NoMemory{}; };
        CHECK_THROWS_AS(run(call.call), NoMemory);
        call.tensor(Role::input).data = nullptr;
        call.check_refused("null");
    });
}

TEST_CASE("a stream, or a device's random numbers, with host tensors is refused",
          "[runtime][bad_input]") {
    for_each_op([](Op op) {
        Spoiled streamed(op);
        streamed.call.options.stream =
            reinterpret_cast<opforge::driver::StreamHandle>(std::uintptr_t{16});
        streamed.check_refused("stream");
    });
    Spoiled random(Op::quantize);
    random.call.options.stochastic = true;
    random.call.options.device_random = 16;
    random.check_refused("device_random");
}

TEST_CASE("a negative number of threads is refused", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        Spoiled call(op);
        call.call.options.threads = -2;
        call.check_refused("-2");
    });
}

TEST_CASE("stochastic rounding is refused by all but quantize", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        Spoiled call(op);
        call.call.options.stochastic = true;
        if (op == Op::quantize) {
            CHECK_NOTHROW(run(call.call));
        } else {
            call.check_refused("stochastic");
        }
    });
}

TEST_CASE("empty tensors need no memory, but their arguments are checked", "[runtime][bad_input]") {
    for_each_op([](Op op) {
        OpsCase of = ops_case(op, 0, 0);
        for (const Role role : {Role::input, Role::error, Role::output}) {
            Spoiled empty(of);
            if (empty.has(role)) {
                empty.tensor(role).data = nullptr;
                CHECK_NOTHROW(run(empty.call));
                Spoiled integers(of);
                integers.tensor(role).dtype = Dtype::int64;
                integers.check_refused("int64");
            }
        }
        Spoiled unallocated(of);
        unallocated.call.tensors[Role::output].reset();
        CHECK_NOTHROW(run(unallocated.call));
        if (!is_experimental(op)) {
            Spoiled wide(of);
            wide.call.bits = 16;
            wide.check_refused("16");
        }
    });
}

TEST_CASE("counts past 2^63 are refused, not wrapped, in the ops with codes",
          "[runtime][bad_input]") {
    constexpr std::int64_t kHuge = std::int64_t{1} << 62U;
    for_each_op([&](Op op) {
        if (is_experimental(op)) {
            Spoiled product(op);
            product.call.groups = std::int64_t{1} << 32U;
            product.call.group_size = std::int64_t{1} << 32U;
            product.check_refused(std::to_string(std::int64_t{1} << 32U));
            return;
        }
        // Elements whose bytes, or whose codes, are more than can be counted.
        Spoiled large(ops_case(op, 2, 16));  // fp32
        large.call.bits = 4;
        large.tensor(Role::input).shape = Shape{kHuge};
        CHECK_THROWS_AS(run(large.call), InvalidArgument);
        // Records of empty groups.
        Spoiled records(ops_case(op, 3, 0));  // asymmetric
        records.call.groups = std::int64_t{1} << 62U;
        CHECK_THROWS_AS(run(records.call), InvalidArgument);
        records.call.out_groups = std::int64_t{1} << 62U;
        CHECK_THROWS_AS(run(records.call), InvalidArgument);
    });
}

TEST_CASE("an allocator is never asked for a size that has wrapped", "[runtime][bad_input]") {
    // Four bytes a record: 0 and 64 modulo 2^64.
    for (const std::int64_t groups : {std::int64_t{1} << 62U, (std::int64_t{1} << 62U) + 16,
                                      (std::int64_t{1} << 61U) + 8, kLargest - 7}) {
        for (const Op op : {Op::quantize, Op::swizzle_quant, Op::loco_swizzle_quant,
                            Op::quantized_reduction, Op::loco_quantized_reduction}) {
            for (const int number : {2, 3}) {  // symmetric, asymmetric
                Spoiled call(ops_case(op, static_cast<std::uint64_t>(number), 0));
                call.call.tensors[Role::output].reset();
                call.call.tensors[Role::params].reset();
                call.call.options.allocate = [](std::size_t, Device) -> void* {
                    FAIL_CHECK("asked for memory");
                    return nullptr;
                };
                (reduces(op) ? call.call.out_groups : call.call.groups) = groups;
                call.check_refused(std::to_string(groups));
            }
        }
    }
}

TEST_CASE("a count whose bytes reach past the end of the address space is refused in the ops with "
          "codes",
          "[runtime][bad_input]") {
    // Four bytes an element: 0 modulo 2^64, so that no overlap would be seen.
    constexpr std::int64_t kWraps = std::int64_t{1} << 62U;
    Spoiled call(ops_case(Op::quantize, 2, 16));  // fp32
    call.call.bits = 8;
    call.tensor(Role::input).shape = Shape{kWraps};
    call.tensor(Role::output).shape = Shape{kWraps};
    CHECK_THAT(call.check_refused(std::to_string(kWraps)), Contains("address space"));
    Spoiled scales(Op::dequantize_int8);  // of empty groups
    scales.call.groups = kLargest;
    scales.call.group_size = 0;
    scales.tensor(Role::input).shape = Shape{0};
    scales.tensor(Role::output).shape = Shape{0};
    scales.tensor(Role::records).shape = Shape{kLargest};
    scales.tensor(Role::min).shape = Shape{kLargest};
    CHECK_THAT(scales.check_refused(std::to_string(kLargest)), Contains("address space"));
}

TEST_CASE("records past 2^63 that are read are refused by name", "[runtime][bad_input]") {
    for (const Op op : {Op::dequantize, Op::quantized_reduction, Op::loco_quantized_reduction}) {
        Spoiled call(ops_case(op, 3, 0));  // asymmetric: two numbers a record
        call.call.type = runtime::QuantizationType::asymmetric;
        call.call.groups = kLargest - 1;
        call.check_refused(std::to_string(kLargest - 1));
    }
}

TEST_CASE("a dequantizer refuses memory for records, of which it gives none",
          "[runtime][bad_input]") {
    for (const Op op : {Op::dequantize, Op::dequantize_int4, Op::dequantize_int8}) {
        Spoiled call(op);
        std::vector<float> records(4);
        call.call.tensors[Role::params] =
            TensorView{records.data(), Dtype::float32, Shape{4}, Device::cpu()};
        call.check_refused("params");
    }
}

TEST_CASE("a device_random that is not aligned is refused in quantize", "[runtime][bad_input]") {
    Spoiled call(Op::quantize);
    for (const Role role : {Role::input, Role::output, Role::params}) {
        call.tensor(role).device = Device::cuda(0);
    }
    call.call.options.stochastic = true;
    call.call.options.device_random = 4100;
    CHECK_THAT(call.check_refused("0x1004"), Contains("device_random"));
}

TEST_CASE("the ops' outputs may have any shape of the right count", "[runtime][bad_input]") {
    for_each_tensor([](Op op, Role role) {
        if (role == Role::output || role == Role::params) {
            Spoiled call(op);
            call.tensor(role).shape = Shape{1, call.tensor(role).elements(), 1};
            CHECK_NOTHROW(run(call.call));
        }
    });
}
