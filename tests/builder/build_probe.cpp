// A process that builds one program of the quantizer through the cache, as a user's would, and
// tells what it has mapped.
//   build_probe <cache directory> <target> <program>
// Prints "compiled" or "hit", then the files of /proc/self/maps.
#include <opforge/builder/quantizer_builder.hpp>

#include <fstream>
#include <iostream>
#include <memory>
#include <string>

int main(int count, char** arguments) {
    using namespace opforge;
    if (count != 4) {
        return 2;
    }
    builder::BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{arguments[1], false});
    const builder::QuantizerBuilder quantizer(context);
    const auto outcome = quantizer.build_program(builder::parse_target(arguments[2]), arguments[3]);
    std::cout << (outcome.error.empty() ? outcome.compiled ? "compiled" : "hit" : outcome.error)
              << '\n';
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (const std::size_t path = line.find('/'); path != std::string::npos) {
            std::cout << line.substr(path) << '\n';
        }
    }
    return outcome.error.empty() ? 0 : 1;
}
