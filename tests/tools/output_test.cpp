#include <output.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using tools::Json;

TEST_CASE("the envelope is one line with the four fields, in their order", "[tools]") {
    tools::CommandResult result;
    result.data["b"] = 1;
    result.data["a"] = 2;
    CHECK(tools::envelope(result) == R"({"schema":1,"ok":true,"data":{"b":1,"a":2},"errors":[]})"
                                     "\n");
    result.code = tools::ExitCode::bad_input;
    result.problems.push_back({"InputError", "read x: no\nmore"});
    const Json json = Json::parse(tools::envelope(result));
    CHECK(json["ok"] == false);
    CHECK(json["errors"] == Json::parse(R"([{"kind":"InputError","message":"read x: no\nmore"}])"));
}

TEST_CASE("an envelope with bytes that are not UTF-8 still parses", "[tools]") {
    tools::CommandResult result;
    result.data["path"] = "/tmp/\xff\xfe.npy";
    result.problems.push_back({"InputError", "\x80"});
    CHECK(Json::parse(tools::envelope(result))["data"]["path"] == "/tmp/\uFFFD\uFFFD.npy");
}

TEST_CASE("problems of many items are told once, with the items below", "[tools]") {
    const std::vector<tools::Problem> problems = {
        {"A", "no NVRTC", "one"}, {"A", "no space", "two"}, {"A", "no NVRTC", "three"}};
    CHECK(tools::format_problems(problems) ==
          "opforge: no NVRTC\n    one\n    three\nopforge: two: no space\n");
    tools::CommandResult result;
    result.problems = problems;
    CHECK(Json::parse(tools::envelope(result))["errors"][1]["message"] == "two: no space");
}

TEST_CASE("control characters are spelt out, so that no name commands a terminal", "[tools]") {
    CHECK(tools::printable("a\x1b[31mb\r\x7f\n\tü") == "a\\x1b[31mb\\x0d\\x7f\n\tü");
}

TEST_CASE("what is not UTF-8, or a control character of the upper half, is spelt out", "[tools]") {
    CHECK(tools::printable("a\xff\xc3") == "a\\xff\\xc3");
    CHECK(tools::printable("\xc2\x9b[31m") == "\\xc2\\x9b[31m");
    // An overlong "/", a surrogate, a code point past the last, a character cut short.
    CHECK(tools::printable("\xc0\xaf") == "\\xc0\\xaf");
    CHECK(tools::printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");
    CHECK(tools::printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
    CHECK(tools::printable("\xe2\x82") == "\\xe2\\x82");
    const std::string good = "\xc2\xa0\xe2\x82\xac\xed\x9f\xbf\xf0\x9f\x99\x82\xf4\x8f\xbf\xbf";
    CHECK(tools::printable(good) == good);
}

TEST_CASE("a table's columns are as wide as their widest cell", "[tools]") {
    const std::vector<std::vector<std::string>> rows = {
        {"name", "n"}, {"ü", "10"}, {"longer", "7"}};
    const std::vector<std::size_t> right = {1};
    CHECK(tools::format_table(rows, right) == "name     n\nü       10\nlonger   7\n");
}

TEST_CASE("durations are told in the unit that fits", "[tools]") {
    CHECK(tools::format_duration(0.0000123) == "12 us");
    CHECK(tools::format_duration(0.0123) == "12.3 ms");
    CHECK(tools::format_duration(12.3) == "12.30 s");
}

}  // namespace
}  // namespace opforge::test
