#include <opforge/base/error.hpp>
#include <opforge/builder/compile_options.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

TEST_CASE("the default options are IEEE arithmetic, in one spelling", "[options]") {
    CHECK(CompileOptions{}.normalised() == Words{"--fmad=false", "--ftz=false", "--prec-div=true",
                                                 "--prec-sqrt=true", "--std=c++17"});
}

TEST_CASE("every option that changes code changes the normalised spelling", "[options]") {
    const auto differs = [](auto change) {
        CompileOptions options;
        change(options);
        return options.normalised() != CompileOptions{}.normalised();
    };
    CHECK(differs([](CompileOptions& o) { o.cxx_standard = 20; }));
    CHECK(differs([](CompileOptions& o) { o.contract_fma = true; }));
    CHECK(differs([](CompileOptions& o) { o.flush_denormals = true; }));
    CHECK(differs([](CompileOptions& o) { o.precise_division = false; }));
    CHECK(differs([](CompileOptions& o) { o.precise_sqrt = false; }));
    CHECK(differs([](CompileOptions& o) { o.line_info = true; }));
    CHECK(differs([](CompileOptions& o) { o.max_registers = 64; }));
    CHECK(differs([](CompileOptions& o) { o.minimal = true; }));
}

TEST_CASE("the normalised spelling is sorted", "[options]") {
    CompileOptions options;
    options.line_info = true;
    options.max_registers = 128;
    const Words words = options.normalised();
    CHECK(std::is_sorted(words.begin(), words.end()));
    CHECK(words.size() == 7);
}

TEST_CASE("the command line has the target, the defines and what keeps the compile off the disk",
          "[options]") {
    CompileOptions options;
    options.defines = {{"OPFORGE_PROGRAM", "p"}, {"OPFORGE_ELEMENT", "0"}};
    Words arguments = options.nvrtc_arguments(parse_target("9.0a"));
    CHECK(Words(arguments.begin(), arguments.begin() + 5) == CompileOptions{}.normalised());
    CHECK(Words(arguments.begin() + 5, arguments.end()) ==
          Words{"--no-source-include", "--gpu-architecture=sm_90a", "-DOPFORGE_ELEMENT=0",
                "-DOPFORGE_PROGRAM=p"});
    CHECK(options.nvrtc_arguments(parse_target("compute_90"))[6] ==
          "--gpu-architecture=compute_90");
}

TEST_CASE("the command line leaves out what not every NVRTC knows", "[options]") {
    CompileOptions options;
    options.minimal = true;
    CHECK(options.nvrtc_arguments(parse_target("90")) ==
          CompileOptions{}.nvrtc_arguments(parse_target("90")));
}

TEST_CASE("a define's value may hold spaces and quotes: it is one argument", "[options]") {
    CompileOptions options;
    options.defines = {{"TEXT", R"("a b"; -DOTHER=1)"}};
    CHECK(options.nvrtc_arguments(parse_target("90")).back() == R"(-DTEXT="a b"; -DOTHER=1)");
}

TEST_CASE("a define that is no identifier, or whose value ends its line, is refused by name",
          "[options]") {
    const auto compile = [](const std::string& name, const std::string& value) {
        CompileOptions options;
        options.defines = {{name, value}};
        return options.nvrtc_arguments(parse_target("90"));
    };
    for (const std::string name : {"", "1A", "A B", "A=1", "A(x)", "-A", "A\n"}) {
        CAPTURE(name);
        CHECK_THROWS_AS(compile(name, "1"), InvalidArgument);
    }
    for (const std::string& value :
         {std::string("1\n#error"), std::string("1\r"), std::string("1\0", 2)}) {
        CHECK_THROWS_WITH(compile("NAME", value), Contains("NAME"));
    }
    CHECK_NOTHROW(compile("NAME_1", ""));
}

TEST_CASE("a name that is defined twice is refused, also with one value", "[options]") {
    CompileOptions options;
    options.defines = {{"A", "1"}, {"B", "1"}, {"A", "2"}};
    CHECK_THROWS_WITH(options.nvrtc_arguments(parse_target("90")), Contains("A is defined twice"));
}

TEST_CASE("unknown standards and negative register limits are refused", "[options]") {
    for (const int standard : {0, 11, 16, 23}) {
        CompileOptions options;
        options.cxx_standard = standard;
        CHECK_THROWS_AS(options.normalised(), InvalidArgument);
    }
    CompileOptions options;
    options.max_registers = -1;
    CHECK_THROWS_AS(options.normalised(), InvalidArgument);
}
