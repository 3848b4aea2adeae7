#include "support/child_process.hpp"

#include <opforge/base/shell_words.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

namespace opforge::test {
namespace {

TEST_CASE("plain words stay as they are, others are quoted", "[base]") {
    CHECK(shell_words({"opforge", "prewarm", "--arch", "8.0,9.0a+PTX"}) ==
          "opforge prewarm --arch 8.0,9.0a+PTX");
    CHECK(shell_words({"a b", "", "it's"}) == "'a b' '' 'it'\\''s'");
}

TEST_CASE("a shell reads back what was quoted", "[base]") {
    const bool holds = rc::check([](const std::vector<unsigned char>& bytes) {
        std::string word;
        for (const unsigned char byte : bytes) {
            if (byte != 0) {
                word += static_cast<char>(byte);
            }
        }
        const ChildResult shell = run_program({"/bin/sh", "-c", "printf %s " + shell_word(word)});
        RC_ASSERT(shell.exit_code == 0);
        RC_ASSERT(shell.output == word);
    });
    CHECK(holds);
}

}  // namespace
}  // namespace opforge::test
