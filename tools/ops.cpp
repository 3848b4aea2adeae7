#include "ops.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace opforge::tools {

std::vector<std::string> op_names() {
    return {"quantizer"};
}

std::unique_ptr<builder::OpBuilder> make_builder(std::string_view op,
                                                 builder::BuilderContext context) {
    if (op == "quantizer") {
        return std::make_unique<builder::QuantizerBuilder>(std::move(context));
    }
    throw InvalidArgument(
        fmt::format("unknown op \"{}\"; there are: {}", op, fmt::join(op_names(), ", ")));
}

std::span<const runtime::OpInfo> functions_of(std::string_view op) {
    return op == "quantizer" ? runtime::op_table() : std::span<const runtime::OpInfo>{};
}

}  // namespace opforge::tools
