#include "machine.hpp"
#include "measured_process.hpp"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/utsname.h>
#include <thread>

namespace opforge::bench {
namespace {

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) {
            return line.substr(line.find(':') + 2);
        }
    }
    return {};
}

nlohmann::json graphics_processors() {
    constexpr std::array<const char*, 7> kFields = {
        "name",       "driver_version", "clocks.sm",       "clocks.max.sm",
        "clocks.mem", "clocks.max.mem", "persistence_mode"};
    std::string query = "--query-gpu=";
    for (const char* field : kFields) {
        query += fmt::format("{}{}", query.back() == '=' ? "" : ",", field);
    }
    nlohmann::json found = nlohmann::json::array();
    const ProcessResult result = run_process({"nvidia-smi", query, "--format=csv,noheader"}, {});
    if (result.exit_code != 0) {
        return found;
    }
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);) {
        nlohmann::json one;
        std::istringstream values(line);
        std::string value;
        for (const char* field : kFields) {
            if (std::getline(values >> std::ws, value, ',')) {
                one[field] = value;
            }
        }
        found.push_back(std::move(one));
    }
    return found;
}

}  // namespace

nlohmann::json describe_machine() {
    nlohmann::json machine;
    if (const std::string name = processor(); !name.empty()) {
        machine["processor"] = name;
    }
    machine["cores"] = std::thread::hardware_concurrency();
    utsname system{};
    if (::uname(&system) == 0) {
        machine["kernel"] = fmt::format("{} {}", system.sysname, system.release);
    }
    machine["gpus"] = graphics_processors();
    return machine;
}

}  // namespace opforge::bench
