#include <opforge/base/error.hpp>
#include <opforge/builder/op_catalog.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace opforge::builder {

OpCatalog& OpCatalog::add(std::string name, Factory factory) {
    if (name.empty() || std::find(names_.begin(), names_.end(), name) != names_.end()) {
        throw InvalidArgument(
            fmt::format("register op \"{}\": {}", name,
                        name.empty() ? "an op needs a name" : "there is one of that name already"));
    }
    names_.push_back(std::move(name));
    factories_.push_back(std::move(factory));
    return *this;
}

std::unique_ptr<OpBuilder> OpCatalog::make(std::string_view name, BuilderContext context) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
        throw InvalidArgument(
            fmt::format("unknown op \"{}\"; there are: {}", name, fmt::join(names_, ", ")));
    }
    auto builder = factories_[static_cast<std::size_t>(found - names_.begin())](std::move(context));
    if (builder->name() != name) {
        throw InvalidArgument(
            fmt::format("op \"{}\": its builder calls itself \"{}\"; register it under that name",
                        name, builder->name()));
    }
    return builder;
}

}  // namespace opforge::builder
