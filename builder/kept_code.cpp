#include "kept_code.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace opforge::builder {
namespace {

namespace fs = std::filesystem;

// Programs' names are their authors'; a file's name must not lead elsewhere.
std::string tame(std::string text) {
    std::replace_if(
        text.begin(), text.end(),
        [](char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-');
        },
        '_');
    return text;
}

std::optional<fs::path> find_disassembler() {
    std::vector<fs::path> places;
    const std::string path = environment("PATH").value_or("");
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        places.emplace_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    for (const char* variable : {"CUDA_PATH", "CUDA_HOME"}) {
        if (const auto root = environment(variable)) {
            places.push_back(fs::path(*root) / "bin");
        }
    }
    places.emplace_back("/usr/local/cuda/bin");
    for (const fs::path& place : places) {
        const fs::path program = place / "nvdisasm";
        if (program.is_absolute() && ::access(program.c_str(), X_OK) == 0) {
            return program;
        }
    }
    return std::nullopt;
}

// Runs `program file`, its output into `into`. False where it cannot be run or fails.
bool run_into(const fs::path& program, const fs::path& file, const fs::path& into) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, into.c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0644);
    std::string name = program.string();
    std::string argument = file.string();
    std::array<char*, 3> arguments = {name.data(), argument.data(), nullptr};
    pid_t child = 0;
    const int failure =
        ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
        return false;
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

KeptCode::KeptCode(fs::path directory, const std::string& op, const std::string& program,
                   const std::string& target)
    : directory_(std::move(directory)),
      stem_(fmt::format("{}.{}.{}", tame(op), tame(program), tame(target))) {}

void KeptCode::write(const char* extension, std::string_view text) const {
    std::error_code error;
    fs::create_directories(directory_, error);
    const fs::path path = directory_ / (stem_ + extension);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    file.close();
    if (!file) {
        log(LogLevel::warning,
            fmt::format("keep the code: {} cannot be written; choose another OPFORGE_KEEP_DIR",
                        path.string()));
    }
}

void KeptCode::keep_ptx(std::string_view text) const {
    write(".ptx", text.substr(0, text.find('\0')));
}

void KeptCode::keep_log(std::string_view text) const {
    if (!text.empty()) {
        write(".log", text);
    }
}

void KeptCode::keep_artifact(const Bytes& artifact, bool is_ptx) const {
    const std::string_view text(reinterpret_cast<const char*>(artifact.data()), artifact.size());
    if (is_ptx) {
        keep_ptx(text);
        return;
    }
    write(".cubin", text);
    disassemble();
}

void KeptCode::disassemble() const {
    const std::optional<fs::path> program = find_disassembler();
    if (!program) {
        log(LogLevel::info,
            fmt::format("keep the code: no nvdisasm in PATH, CUDA_PATH, CUDA_HOME or "
                        "/usr/local/cuda: {}.cubin stays without its .sass",
                        stem_));
        return;
    }
    const fs::path cubin = directory_ / (stem_ + ".cubin");
    if (!run_into(*program, cubin, directory_ / (stem_ + ".sass"))) {
        log(LogLevel::warning,
            fmt::format("keep the code: {} {} failed", program->string(), cubin.string()));
    }
}

}  // namespace opforge::builder
