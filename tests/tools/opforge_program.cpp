#include "opforge_program.hpp"

#include <opforge/builder/compiler.hpp>

#include <catch2/catch.hpp>

#include <iostream>

namespace opforge::test {

tools::ChildResult OpforgeProgram::run(const std::vector<std::string>& arguments,
                                       const Variables& variables) const {
    std::vector<std::string> words = {path_.string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    Variables environment = {{"HOME", folder().string()},
                             {"OPFORGE_CUDA_LIBRARY", (folder() / "no-driver.so").string()}};
    for (const char* name :
         {"XDG_CACHE_HOME", "OPFORGE_CACHE_DIR", "OPFORGE_LAYERS", "OPFORGE_CACHE_MAX_SIZE",
          "SOURCE_DATE_EPOCH", "OPFORGE_POLICY", "OPFORGE_ARCH", "OPFORGE_NVRTC_LIBRARY",
          "OPFORGE_LOG_LEVEL", "TORCH_CUDA_ARCH_LIST"}) {
        environment.emplace_back(name, std::nullopt);
    }
    for (const auto& [name, value] : variables) {
        std::erase_if(environment, [&name](const auto& each) { return each.first == name; });
        environment.emplace_back(name, value);
    }
    return tools::run_child(words, environment);
}

OpforgeProgram::Answer OpforgeProgram::ask(std::vector<std::string> arguments,
                                           const Variables& variables) const {
    arguments.emplace_back("--json");
    const tools::ChildResult result = run(arguments, variables);
    Answer answer{result.exit_code, tools::Json::parse(result.standard_output, nullptr, false),
                  result.standard_error};
    INFO(result.standard_output << result.standard_error);
    REQUIRE(answer.json.is_object());
    REQUIRE(answer.json.size() == 4);
    REQUIRE(answer.json.at("schema") == 1);
    REQUIRE(answer.json.at("ok") == (result.exit_code == 0));
    REQUIRE(answer.json.at("data").is_object());
    REQUIRE(answer.json.at("errors").is_array());
    return answer;
}

std::string OpforgeProgram::Answer::error_kind() const {
    const tools::Json& errors = json.at("errors");
    return errors.empty() ? "" : errors.at(0).at("kind").get<std::string>();
}

bool nvrtc_here() {
    if (builder::nvrtc_compiler()->toolchain()) {
        return true;
    }
    std::cout << "SKIPPED: no NVRTC on this machine\n";
    return false;
}

}  // namespace opforge::test
