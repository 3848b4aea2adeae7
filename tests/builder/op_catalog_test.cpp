#include "support/fake_compiler.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/op_catalog.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using builder::OpCatalog;
using builder::QuantizerBuilder;
using Catch::Matchers::Contains;

builder::BuilderContext context() {
    builder::BuilderContext made;
    made.cache =
        std::make_shared<cache::Cache>(cache::CacheOptions{.directory = {}, .memory_only = true});
    made.compiler = std::make_shared<FakeCompiler>();
    return made;
}

TEST_CASE("a catalog makes the builders registered, in their order", "[builder]") {
    OpCatalog catalog;
    bool made_second = false;
    catalog.add<QuantizerBuilder>("quantizer").add("second", [&](builder::BuilderContext) {
        made_second = true;
        return nullptr;
    });
    CHECK(catalog.names() == std::vector<std::string>{"quantizer", "second"});
    const auto given = context();
    const auto builder = catalog.make("quantizer", given);
    CHECK(builder->name() == "quantizer");
    CHECK(builder->context().cache == given.cache);
    CHECK_FALSE(made_second);
}

TEST_CASE("an unknown op is refused with the names there are", "[builder]") {
    OpCatalog catalog;
    catalog.add<QuantizerBuilder>("quantizer");
    CHECK_THROWS_WITH(catalog.make("quantiser", context()),
                      Contains("quantiser") && Contains("there are: quantizer"));
}

TEST_CASE("a name that is taken, empty or not the builder's own is refused", "[builder]") {
    OpCatalog catalog;
    catalog.add<QuantizerBuilder>("quantizer");
    CHECK_THROWS_AS(catalog.add<QuantizerBuilder>("quantizer"), InvalidArgument);
    CHECK_THROWS_AS(catalog.add<QuantizerBuilder>(""), InvalidArgument);
    catalog.add<QuantizerBuilder>("other");
    CHECK_THROWS_WITH(catalog.make("other", context()), Contains("calls itself \"quantizer\""));
}

}  // namespace
}  // namespace opforge::test
