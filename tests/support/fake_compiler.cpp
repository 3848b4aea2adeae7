#include "support/fake_compiler.hpp"

#include <opforge/builder/errors.hpp>

#include <thread>
#include <utility>

namespace opforge::test {

FakeCompiler::FakeCompiler()
    : toolchain_(cache::Toolchain{"nvrtc", 13, 0, "fake+fake"}), quick_(toolchain_) {}
FakeCompiler::~FakeCompiler() = default;

void FakeCompiler::set_toolchain(std::optional<cache::Toolchain> toolchain) {
    const std::lock_guard lock(mutex_);
    toolchain_ = toolchain;
    quick_ = std::move(toolchain);
}

void FakeCompiler::set_quick_toolchain(std::optional<cache::Toolchain> toolchain) {
    const std::lock_guard lock(mutex_);
    quick_ = std::move(toolchain);
}

void FakeCompiler::set_supported(std::set<std::string> targets) {
    const std::lock_guard lock(mutex_);
    supported_ = std::move(targets);
}

void FakeCompiler::fail(const std::string& program, std::string log) {
    const std::lock_guard lock(mutex_);
    failures_[program] = std::move(log);
}

void FakeCompiler::set_delay(std::chrono::milliseconds delay) {
    const std::lock_guard lock(mutex_);
    delay_ = delay;
}

void FakeCompiler::set_salt(std::string salt) {
    const std::lock_guard lock(mutex_);
    salt_ = std::move(salt);
}

std::size_t FakeCompiler::compiles() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
}

std::size_t FakeCompiler::requirements() const {
    const std::lock_guard lock(mutex_);
    return requirements_;
}

std::vector<builder::CompileJob> FakeCompiler::jobs() const {
    const std::lock_guard lock(mutex_);
    return jobs_;
}

std::optional<cache::Toolchain> FakeCompiler::toolchain() {
    const std::lock_guard lock(mutex_);
    return quick_;
}

cache::Toolchain FakeCompiler::require(const builder::Target& target, int driver_version) {
    const std::lock_guard lock(mutex_);
    ++requirements_;
    if (!toolchain_) {
        throw ToolchainNotFound("fake compiler: no toolchain anywhere");
    }
    if (driver_version > 0 && toolchain_->major > driver_version / 1000) {
        throw ToolchainNotFound("fake compiler: its major is above the driver's");
    }
    if (supported_ && !supported_->contains(target.name())) {
        throw ToolchainNotFound("fake compiler: it does not know " + target.name());
    }
    return *toolchain_;
}

builder::CompiledProgram FakeCompiler::compile(const builder::CompileJob& job) {
    std::string text;
    std::string log;
    std::chrono::milliseconds delay{};
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(job);
        delay = delay_;
        text = salt_;
        if (const auto failure = failures_.find(job.program); failure != failures_.end()) {
            log = failure->second;
        }
    }
    std::this_thread::sleep_for(delay);
    if (!log.empty()) {
        throw CompileError(job.program, job.target.name(), job.arguments, log);
    }
    builder::CompiledProgram compiled;
    text +=
        "fake " + job.program + " " + job.target.name() + " " + job.toolchain.fingerprint + "\n";
    for (const std::string& argument : job.arguments) {
        text += argument + "\n";
    }
    text += job.source;
    for (const EmbeddedFile& header : job.headers) {
        text += header.text;
    }
    const auto bytes = as_bytes(text);
    compiled.artifact.assign(bytes.begin(), bytes.end());
    for (const std::string& kernel : job.kernels) {
        compiled.kernels.push_back({kernel, kernel, 32, 0});
    }
    compiled.log = "fake log";
    compiled.microseconds = 1;
    return compiled;
}

}  // namespace opforge::test
