#include <suggestion.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

namespace opforge::test {
namespace {

const std::vector<std::string> kVerbs = {"demo", "quantize", "prewarm", "report", "cache"};

TEST_CASE("a mistyped verb suggests the one that was meant", "[tools]") {
    CHECK(tools::nearest_word("quantise", kVerbs) == "quantize");
    CHECK(tools::nearest_word("quant", kVerbs) == "quantize");
    CHECK(tools::nearest_word("pre-warm", kVerbs) == "prewarm");
    CHECK(tools::nearest_word("reprot", kVerbs) == "report");
    CHECK(tools::nearest_word("chache", kVerbs) == "cache");
}

TEST_CASE("a word that is near none suggests nothing", "[tools]") {
    CHECK_FALSE(tools::nearest_word("xyzzy", kVerbs));
    CHECK_FALSE(tools::nearest_word("install", kVerbs));
    CHECK_FALSE(tools::nearest_word("", kVerbs));
}

TEST_CASE("the edit distance counts insertions, deletions, replacements and swaps", "[tools]") {
    CHECK(tools::edit_distance("", "abc") == 3);
    CHECK(tools::edit_distance("abc", "abd") == 1);
    CHECK(tools::edit_distance("abc", "acb") == 1);
    CHECK(tools::edit_distance("kitten", "sitting") == 3);
    rc::prop("it is symmetric, and nothing only for equal texts",
             [](const std::string& a, const std::string& b) {
                 RC_ASSERT(tools::edit_distance(a, b) == tools::edit_distance(b, a));
                 RC_ASSERT((tools::edit_distance(a, b) == 0) == (a == b));
             });
}

}  // namespace
}  // namespace opforge::test
