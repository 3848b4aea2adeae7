// A compiler without NVRTC: the artifact is made of the job's own text, so equal jobs give equal
// bytes and any change in a job shows. Any thread.
//
//   auto compiler = std::make_shared<test::FakeCompiler>();
//   compiler->fail("ds_quantize_fp16", "x.cu(3): error: ...");
//   CHECK(compiler->compiles() == 0);
#pragma once

#include <opforge/builder/compiler.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace opforge::test {

class FakeCompiler final : public builder::Compiler {
public:
    /// NVRTC 13.0, found at once, that knows every target.
    FakeCompiler();
    ~FakeCompiler() override;

    // --- settings
    /// What require() gives; nullopt: there is none anywhere. Also what toolchain() gives, unless
    /// set apart.
    void set_toolchain(std::optional<cache::Toolchain> toolchain);
    /// What the quick places hold; nullopt: nothing.
    void set_quick_toolchain(std::optional<cache::Toolchain> toolchain);
    /// Names as "sm_90", "compute_90"; every other target is refused from now on.
    void set_supported(std::set<std::string> targets);
    /// Compiling the program throws a CompileError with this log; an empty log: no longer.
    void fail(const std::string& program, std::string log);
    void set_delay(std::chrono::milliseconds delay);
    /// Mixed into the artifacts from now on: a compiler that makes other bytes of the same job.
    void set_salt(std::string salt);

    // --- what happened
    [[nodiscard]] std::size_t compiles() const;  // also the failed ones
    [[nodiscard]] std::size_t requirements() const;
    [[nodiscard]] std::vector<builder::CompileJob> jobs() const;

    // --- Compiler
    [[nodiscard]] std::optional<cache::Toolchain> toolchain() override;
    [[nodiscard]] cache::Toolchain require(const builder::Target& target,
                                           int driver_version) override;
    [[nodiscard]] builder::CompiledProgram compile(const builder::CompileJob& job) override;

private:
    mutable std::mutex mutex_;
    std::optional<cache::Toolchain> toolchain_;
    std::optional<cache::Toolchain> quick_;
    std::optional<std::set<std::string>> supported_;
    std::map<std::string, std::string> failures_;
    std::chrono::milliseconds delay_{0};
    std::string salt_;
    std::size_t requirements_ = 0;
    std::vector<builder::CompileJob> jobs_;
};

}  // namespace opforge::test
