// The ops that the tools know by name.
#pragma once

#include <opforge/builder/op_builder.hpp>
#include <opforge/runtime/op_table.hpp>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

[[nodiscard]] std::vector<std::string> op_names();
/// @throws InvalidArgument naming the ops there are.
[[nodiscard]] std::unique_ptr<builder::OpBuilder> make_builder(std::string_view op,
                                                               builder::BuilderContext context);

/// What the op's module offers.
[[nodiscard]] std::span<const runtime::OpInfo> functions_of(std::string_view op);

}  // namespace opforge::tools
