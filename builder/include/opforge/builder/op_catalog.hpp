// The ops that a program knows by name: what a tool prewarms, explains and lists. Registered
// explicitly, in one place: static initialisers would be dropped by the linker, or run in an order
// that nobody chose. Fill it on one thread; then any thread may use it.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/op_builder.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace opforge::builder {

class OPFORGE_API OpCatalog {
public:
    using Factory = std::function<std::unique_ptr<OpBuilder>(BuilderContext)>;

    /// `name` is what the builder's name() gives. Nothing is made before it is asked for.
    /// @throws InvalidArgument where the name is empty or registered already.
    OpCatalog& add(std::string name, Factory factory);
    template <class Builder>
    OpCatalog& add(std::string name) {
        return add(std::move(name), [](BuilderContext context) {
            return std::make_unique<Builder>(std::move(context));
        });
    }

    /// In the order of registration.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    /// @throws InvalidArgument naming the ops there are; or where the builder made gives another
    /// name than the one registered.
    [[nodiscard]] std::unique_ptr<OpBuilder> make(std::string_view name,
                                                  BuilderContext context) const;

private:
    std::vector<std::string> names_;
    std::vector<Factory> factories_;
};

}  // namespace opforge::builder
