// The ops that the tools know by name.
#pragma once

#include <opforge/builder/op_builder.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

[[nodiscard]] std::vector<std::string> op_names();
/// @throws InvalidArgument naming the ops there are.
[[nodiscard]] std::unique_ptr<builder::OpBuilder> make_builder(std::string_view op,
                                                               builder::BuilderContext context);

}  // namespace opforge::tools
