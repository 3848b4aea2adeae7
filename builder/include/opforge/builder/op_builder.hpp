// An op's builder: sources and options in, loaded kernels out, through the cache. The surface is
// DeepSpeed's OpBuilder; the work is opforge's: NVRTC on a miss only, a verified cubin otherwise.
// Any thread may call any const member; one program is compiled and loaded once a process and
// target.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/embedded_sources.hpp>
#include <opforge/builder/compile_options.hpp>
#include <opforge/builder/compiler.hpp>
#include <opforge/builder/target.hpp>
#include <opforge/cache/cache.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/kernel.hpp>
#include <opforge/driver/loaded_library.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::builder {

/// One NVRTC translation unit: the unit of compiling, caching and loading.
struct ProgramSpec {
    std::string name;    // unique within the op
    std::string source;  // virtual name of an embedded source
    std::vector<std::pair<std::string, std::string>> defines;
    /// Public names: of extern "C" kernels, or of templates' instances (instantiation.hpp).
    std::vector<std::string> kernels;
    Wants wants = Wants::none;
    /// Of a compile, on no machine in particular; 0: not known. Only orders a prewarm, where the
    /// cache has recorded no time.
    int expected_milliseconds = 0;
};

/// A loaded program: immutable, shared, alive as long as anybody holds it.
class OPFORGE_API LoadedProgram : public std::enable_shared_from_this<LoadedProgram> {
public:
    LoadedProgram(std::string name, Target target, driver::LoadedLibrary library,
                  cache::Manifest manifest, cache::Origin origin,
                  std::chrono::microseconds load_time);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const Target& target() const noexcept { return target_; }
    [[nodiscard]] const cache::Manifest& manifest() const noexcept { return manifest_; }
    [[nodiscard]] cache::Origin origin() const noexcept { return origin_; }
    /// From the call to usable handles, compile included.
    [[nodiscard]] std::chrono::microseconds load_time() const noexcept { return load_time_; }
    /// @throws InvalidArgument where the program has no kernel of that public name.
    [[nodiscard]] driver::KernelHandle kernel(std::string_view public_name) const;
    /// The same with its argument list: `kernel<void(const float*, float*, int)>("scale")`. The
    /// handle keeps this program loaded. @throws InvalidArgument also where the list differs in
    /// count or sizes from what the driver says of the kernel; where no context is current, the
    /// handle's first call does
    template <class Signature>
    [[nodiscard]] driver::Kernel<Signature> kernel(std::string_view public_name) const {
        return {library_.api(), kernel(public_name), name_ + ": " + std::string(public_name),
                weak_from_this().lock()};
    }

private:
    std::string name_;
    Target target_;
    driver::LoadedLibrary library_;
    cache::Manifest manifest_;
    cache::Origin origin_;
    std::chrono::microseconds load_time_;
    std::vector<std::pair<std::string, driver::KernelHandle>> kernels_;
};

/// All programs of an op for one target.
class OPFORGE_API LoadedOp {
public:
    LoadedOp(std::string name, std::vector<std::shared_ptr<const LoadedProgram>> programs);
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::vector<std::shared_ptr<const LoadedProgram>>&
    programs() const noexcept {
        return programs_;
    }
    /// Searches every program. @throws InvalidArgument where there is no such kernel.
    [[nodiscard]] driver::KernelHandle kernel(std::string_view public_name) const;
    /// The same with its argument list, as LoadedProgram::kernel.
    template <class Signature>
    [[nodiscard]] driver::Kernel<Signature> kernel(std::string_view public_name) const {
        return program_of(public_name).template kernel<Signature>(public_name);
    }

private:
    [[nodiscard]] const LoadedProgram& program_of(std::string_view kernel) const;

    std::string name_;
    std::vector<std::shared_ptr<const LoadedProgram>> programs_;
};

/// Whether an op can run on a device, and why (not). Converts to bool.
struct Compatibility {
    bool compatible = false;
    std::string reason;
    explicit operator bool() const noexcept { return compatible; }
};

/// What build() did for one program and target.
struct BuildOutcome {
    std::string program;
    Target target;
    bool compiled = false;            // by this call; false: it was ready
    std::filesystem::path directory;  // of the entry; empty where it could not be written
    std::uint64_t size_bytes = 0;
    std::chrono::microseconds time{};
    std::string error;  // empty: done
    std::string
        error_kind;  // "CompileError", "ToolchainNotFound", "OfflineMiss", "CacheError", ...
};

/// What a builder works with; each default is the process's own.
struct BuilderContext {
    std::shared_ptr<cache::Cache> cache;  // default: cache::process_cache()
    std::shared_ptr<Compiler> compiler;   // default: nvrtc_compiler()
    const driver::DriverApi* driver =
        nullptr;             // default: driver::real_driver(), opened when first needed
    int driver_version = 0;  // with `driver`: its version; 0: ask it
    std::optional<cache::Policy>
        policy;  // default: OPFORGE_POLICY, else exact where a toolchain is found
    /// The command line tool that knows the op, as errors name it: a user's own for a user's op.
    std::string tool = "opforge";
    /// Where to leave PTX, cubin, SASS and log of what is compiled or loaded, for people to read;
    /// PTX only of what is compiled (jit_load() always does). Default: OPFORGE_KEEP_DIR, else
    /// nowhere.
    std::optional<std::filesystem::path> keep_directory = std::nullopt;
};

class OPFORGE_API OpBuilder {
public:
    explicit OpBuilder(BuilderContext context = {});
    OpBuilder(const OpBuilder&) = delete;
    OpBuilder& operator=(const OpBuilder&) = delete;
    virtual ~OpBuilder();

    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual std::vector<ProgramSpec> programs() const = 0;
    /// One of programs() by its name. An op with many programs may find one without making all: a
    /// warm start asks for a single one.
    [[nodiscard]] virtual std::optional<ProgramSpec> program(std::string_view name) const;
    [[nodiscard]] virtual const EmbeddedSources& embedded() const = 0;
    [[nodiscard]] virtual CompileOptions compile_options() const;

    /// Virtual names of the sources, in the order of the programs, each once.
    [[nodiscard]] std::vector<std::string> sources() const;

    /// Never throws and never creates a context.
    [[nodiscard]] Compatibility is_compatible(int device) const noexcept;

    /// Every program, from the cache or compiled. @throws NoDevice, DriverError, CompileError,
    /// ToolchainNotFound, OfflineMiss
    [[nodiscard]] std::shared_ptr<const LoadedOp> load(int device) const;
    /// One program: the first use of one kernel pays for one compile. @throws as load(),
    /// InvalidArgument for the name
    [[nodiscard]] std::shared_ptr<const LoadedProgram> load_program(int device,
                                                                    std::string_view program) const;
    /// Compiles even where the cache could serve, publishes, loads. @throws as load()
    [[nodiscard]] std::shared_ptr<const LoadedOp> jit_load(int device) const;

    /// Compiles (or finds) for `target` with no GPU and no driver. Failures are in the outcomes,
    /// not thrown.
    [[nodiscard]] std::vector<BuildOutcome> build(const Target& target) const;
    [[nodiscard]] BuildOutcome build_program(const Target& target, std::string_view program) const;
    /// As build_program() where that would not compile: the entry is there, or the policy is
    /// offline. nullopt where it would.
    [[nodiscard]] std::optional<BuildOutcome> find_program(const Target& target,
                                                           std::string_view program) const;

    /// What the cache is asked for: for `explain`, tests and listings.
    [[nodiscard]] cache::Request request(const ProgramSpec& program, const Target& target) const;
    [[nodiscard]] const BuilderContext& context() const noexcept { return context_; }
    /// The policy in force, explicit or by default. @throws InvalidArgument for a bad
    /// OPFORGE_POLICY
    [[nodiscard]] cache::Policy policy() const;
    /// The same for sealed layers: `compatible` where nobody has chosen `exact`, since who ships a
    /// sealed layer means it to be used whatever NVRTC is here. @throws as policy()
    [[nodiscard]] cache::Policy sealed_policy() const;

private:
    struct Implementation;
    BuilderContext context_;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace opforge::builder
