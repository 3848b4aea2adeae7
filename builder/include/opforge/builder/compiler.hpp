// The compiler behind an interface: NVRTC, or a test's fake.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/bytes.hpp>
#include <opforge/base/embedded_sources.hpp>
#include <opforge/builder/target.hpp>
#include <opforge/cache/cache_key.hpp>
#include <opforge/cache/manifest.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace opforge::builder {

struct CompileJob {
    std::string program;
    std::string source_name;  // the file name that compile errors show
    std::string_view source;
    std::vector<EmbeddedFile>
        headers;  // everything an #include may reach: nothing is read from disk
    std::vector<std::string> arguments;  // complete command line, of any NVRTC
    bool minimal = false;                // CompileOptions::minimal
    std::vector<std::string> kernels;    // extern "C" names, or name expressions of templates
    Target target;
    cache::Toolchain toolchain;  // what require() gave: the one to compile with
    bool keep_ptx = false;       // also hand out the PTX of a cubin, for people to read
};

struct CompiledProgram {
    Bytes artifact;
    std::string log;
    std::string ptx;  // where the job asked for it
    std::vector<cache::KernelRecord> kernels;
    std::int64_t microseconds = 0;
};

class OPFORGE_API Compiler {
public:
    Compiler() = default;
    Compiler(const Compiler&) = delete;
    Compiler& operator=(const Compiler&) = delete;
    virtual ~Compiler();

    /// What would compile, found by `stat` and a few small reads alone: nothing is opened with
    /// dlopen. nullopt where the quick places hold none (a miss may still find one elsewhere).
    [[nodiscard]] virtual std::optional<cache::Toolchain> toolchain() = 0;

    /// The toolchain that will compile for `target`, searching everywhere. Opens it.
    /// `driver_version` (CUDA's number, 0: no driver) bounds it: its major must not be above the
    /// driver's.
    /// @throws ToolchainNotFound listing each place and the reason.
    [[nodiscard]] virtual cache::Toolchain require(const Target& target, int driver_version) = 0;

    /// Compiles with `job.toolchain`, which require() chose. Not with "the last one chosen for the
    /// target": a prewarm and a load on another thread may be bound by different drivers.
    /// @throws CompileError with the full log.
    [[nodiscard]] virtual CompiledProgram compile(const CompileJob& job) = 0;
};

/// NVRTC found as nvrtc_discovery.hpp says; opened on the first require(). `cache_root`: where
/// fingerprints are remembered between processes; empty: nowhere.
[[nodiscard]] OPFORGE_API std::shared_ptr<Compiler>
nvrtc_compiler(const std::filesystem::path& cache_root = {});

}  // namespace opforge::builder
