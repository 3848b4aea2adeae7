#include "op_table_markdown.hpp"

#include <opforge/runtime/op_table.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

namespace opforge::test {
namespace {

using namespace runtime;

constexpr std::array kDtypes = {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64,
                                Dtype::int8,    Dtype::uint8,    Dtype::int16,   Dtype::int32,
                                Dtype::int64,   Dtype::boolean};

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        text += i == 0 ? "" : between;
        text += parts[i];
    }
    return text;
}

// Appends throughout: GCC 12 warns, wrongly, of overlaps where a literal comes before a string.
std::string code(std::string_view text) {
    std::string result("`");
    result += text;
    return result += '`';
}

std::string dtypes(SmallSet<Dtype> set) {
    std::vector<std::string> names;
    for (const Dtype dtype : kDtypes) {
        if (set.contains(dtype)) {
            names.emplace_back(to_string(dtype));
        }
    }
    return joined(names, ", ");
}

std::string widths(SmallSet<int> set) {
    std::vector<std::string> numbers;
    for (int bits = 0; bits < SmallSet<int>::kLimit; ++bits) {
        if (set.contains(bits)) {
            numbers.push_back(std::to_string(bits));
        }
    }
    if (numbers.size() > 3) {  // they are consecutive
        return numbers.front() + " to " + numbers.back();
    }
    return joined(numbers, ", ");
}

std::string described(const OpTensor& tensor) {
    std::string text = code(tensor.name) + ": ";
    text += tensor.follows.empty() ? dtypes(tensor.dtypes)
                                   : std::string("as ").append(code(tensor.follows));
    text += "; shape ";
    text += tensor.shape;
    if (!tensor.layout.empty()) {
        text += "; ";
        text += tensor.layout;
    }
    return text;
}

std::string inputs(const OpInfo& op) {
    std::vector<std::string> all;
    for (const OpTensor& tensor : op.tensors) {
        if (tensor.access == Access::read || tensor.access == Access::changed) {
            all.push_back(described(tensor));
        }
    }
    if (!op.dtype_argument.empty()) {
        all.emplace_back("argument `dtype`: ").append(dtypes(op.dtype_argument));
    }
    return joined(all, "<br>");
}

std::string outputs(const OpInfo& op) {
    std::vector<std::string> all;
    for (const OpTensor& tensor : op.tensors) {
        if (tensor.access == Access::changed) {
            all.push_back(code(tensor.name) + ", in place");
        } else if (tensor.access != Access::read) {
            all.emplace_back(tensor.access == Access::optional ? "or " : "")
                .append(described(tensor));
        }
    }
    return joined(all, "<br>");
}

bool is_of_every_op(Refusal refusal) {
    return std::all_of(op_table().begin(), op_table().end(), [&](const OpInfo& op) {
        return op.is_enumeration() || op.refusals.contains(refusal);
    });
}

std::string refusals(const OpInfo& op) {
    std::vector<std::string> own;
    for (int number = 0; number < kRefusals; ++number) {
        const auto refusal = static_cast<Refusal>(number);
        if (op.refusals.contains(refusal) && !is_of_every_op(refusal)) {
            own.emplace_back(name(refusal));
        }
    }
    return joined(own, ", ");
}

std::string row(const std::vector<std::string>& cells) {
    return std::string("| ").append(joined(cells, " | ")).append(" |\n");
}

}  // namespace

std::string op_table_markdown() {
    std::string text = row({"", "op", "inputs", "outputs", "bits", "formula", "refuses"});
    text += "|---|---|---|---|---|---|---|\n";
    for (const OpInfo& op : op_table()) {
        const std::string call =
            op.is_enumeration()
                ? code(op.name)
                : code(std::string(op.name) + "(" + std::string(op.arguments) + ")");
        text += row({op.binding == 0 ? "–" : std::to_string(op.binding), call, inputs(op),
                     outputs(op), widths(op.bits), std::string(op.formula), refusals(op)});
    }
    text.append("\n").append(row({"refused", "where there is"})).append("|---|---|\n");
    for (const bool by_every_op : {true, false}) {
        for (int number = 0; number < kRefusals; ++number) {
            const auto refusal = static_cast<Refusal>(number);
            if (is_of_every_op(refusal) == by_every_op) {
                text += row({std::string(name(refusal)) + (by_every_op ? " (every op)" : ""),
                             std::string(meaning(refusal))});
            }
        }
    }
    return text;
}

}  // namespace opforge::test
