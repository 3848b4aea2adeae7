#include "cubin_facts.hpp"
#include "nvrtc_api.hpp"
#include "nvrtc_search.hpp"

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/builder/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <system_error>
#include <utility>

namespace opforge::builder {
namespace {

cache::Toolchain toolchain_of(const NvrtcCandidate& candidate) {
    return {"nvrtc", candidate.major, candidate.minor, candidate.fingerprint};
}

// A program of NVRTC's, destroyed with its scope.
class Program {
public:
    explicit Program(const NvrtcApi& api) : api_(&api) {}
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        if (handle_ != nullptr) {
            api_->destroy_program(&handle_);
        }
    }
    [[nodiscard]] nvrtcProgram* address() { return &handle_; }
    [[nodiscard]] nvrtcProgram get() const { return handle_; }

    [[nodiscard]] std::string log() const {
        std::size_t size = 0;
        if (handle_ == nullptr || api_->get_program_log_size(handle_, &size) != NVRTC_SUCCESS ||
            size == 0) {
            return {};
        }
        std::string text(size, '\0');
        if (api_->get_program_log(handle_, text.data()) != NVRTC_SUCCESS) {
            return {};
        }
        text.resize(text.find_last_not_of(std::string_view("\0\n", 2)) + 1);
        return text;
    }

private:
    const NvrtcApi* api_;
    nvrtcProgram handle_ = nullptr;
};

bool is_plain_name(const std::string& kernel) {
    return kernel.find_first_of("<>:&() ,") == std::string::npos;
}

class NvrtcCompiler final : public Compiler {
public:
    NvrtcCompiler(DiscoveryEnvironment environment, const std::filesystem::path& cache_root)
        : environment_(std::move(environment)), fingerprints_(cache_root) {}

    std::optional<cache::Toolchain> toolchain() override {
        const std::lock_guard lock(mutex_);
        if (!quick_done_) {
            warn_of_two_toolkits();
            search_nvrtc(environment_, SearchDepth::quick, fingerprints_,
                         [&](const NvrtcCandidate& candidate) {
                             if (candidate.usable) {
                                 quick_ = toolchain_of(candidate);
                             }
                             return candidate.usable;
                         });
            fingerprints_.save();
            quick_done_ = true;
        }
        return quick_;
    }

    cache::Toolchain require(const Target& target, int driver_version) override {
        const std::lock_guard lock(mutex_);
        std::optional<cache::Toolchain> chosen;
        std::string refusals;
        search_nvrtc(environment_, SearchDepth::everywhere, fingerprints_,
                     [&](const NvrtcCandidate& candidate) {
                         const std::string reason =
                             try_candidate(candidate, target, driver_version);
                         if (reason.empty()) {
                             chosen = toolchain_of(candidate);
                             return true;
                         }
                         refusals += fmt::format("\n  {} ({}): {}", candidate.library.string(),
                                                 candidate.found_via, reason);
                         return false;
                     });
        fingerprints_.save();
        if (!chosen) {
            throw ToolchainNotFound(fmt::format(
                "compile for {}: no NVRTC can serve{}; looked at:{}\nInstall the package "
                "nvidia-cuda-nvrtc or a "
                "CUDA toolkit, or set OPFORGE_NVRTC_LIBRARY to the absolute path of a libnvrtc.so",
                target.name(),
                driver_version > 0 ? fmt::format(" (driver {})", version(driver_version)) : "",
                refusals.empty() ? " nothing" : refusals));
        }
        return *chosen;
    }

    CompiledProgram compile(const CompileJob& job) override {
        const NvrtcApi& api = opened(job.toolchain);
        // NVRTC works on one program at a time, under locks of its own. A process that is forked
        // meanwhile would find them locked for ever: fork() waits until it is done.
        static auto& nvrtc = *new ForkSafeMutex(ForkOrder::inner);
        const std::lock_guard lock(nvrtc);
        const auto start = std::chrono::steady_clock::now();
        Program program(api);
        create(api, program, job);
        std::vector<const char*> arguments;
        arguments.reserve(job.arguments.size());
        for (const std::string& argument : job.arguments) {
            arguments.push_back(argument.c_str());
        }
        // From 12.9 on NVRTC looks its results up in the driver's own cache below ~/.nv. It would
        // open libcuda and call cuInit for that, 100 ms that a prewarm has no use for and that
        // break a later fork, and it would hand out bytes that nobody verified.
        constexpr int kFirstWithCache = 1209;
        constexpr int kFirstWithMinimal = 1204;
        const int version = api.major * 100 + api.minor;
        if (version >= kFirstWithCache) {
            arguments.push_back("--no-cache");
        }
        if (job.minimal && version >= kFirstWithMinimal) {
            arguments.push_back("--minimal");
        }
        const nvrtcResult result = api.compile_program(
            program.get(), static_cast<int>(arguments.size()), arguments.data());
        CompiledProgram compiled;
        compiled.log = program.log();
        if (result != NVRTC_SUCCESS) {
            fail(job, compiled.log.empty() ? api.get_error_string(result) : compiled.log);
        }
        compiled.artifact = artifact(api, program, job);
        if (job.keep_ptx) {
            compiled.ptx = ptx(api, program);
        }
        compiled.kernels = records(api, program, job, compiled);
        compiled.microseconds = std::chrono::duration_cast<std::chrono::microseconds>(
                                    std::chrono::steady_clock::now() - start)
                                    .count();
        return compiled;
    }

private:
    static std::string version(int number) {
        return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
    }

    // Why the candidate does not serve; empty: it is open and does.
    std::string try_candidate(const NvrtcCandidate& candidate, const Target& target,
                              int driver_version) {
        if (!candidate.usable) {
            return candidate.reason;
        }
        const int made_for = candidate.major * 1000 + (target.ptx ? candidate.minor * 10 : 0);
        if (driver_version > 0 &&
            made_for > (target.ptx ? driver_version : driver_version / 1000 * 1000)) {
            return fmt::format(
                "is of CUDA {}.{}, and the driver takes {} up to {} only", candidate.major,
                candidate.minor, target.ptx ? "PTX of versions" : "cubins of majors",
                target.ptx ? version(driver_version) : std::to_string(driver_version / 1000));
        }
        std::string reason;
        const NvrtcApi* api = open_nvrtc(candidate, reason);
        if (api == nullptr) {
            return reason;
        }
        reason = why_unsupported(*api, target);
        if (reason.empty()) {
            const cache::Toolchain toolchain = toolchain_of(candidate);
            const bool known = std::any_of(opened_.begin(), opened_.end(),
                                           [&](const auto& one) { return one.first == toolchain; });
            if (!known) {
                opened_.emplace_back(toolchain, api);
            }
        }
        return reason;
    }

    const NvrtcApi& opened(const cache::Toolchain& toolchain) {
        const std::lock_guard lock(mutex_);
        for (const auto& [one, api] : opened_) {
            if (one == toolchain) {
                return *api;
            }
        }
        throw ToolchainNotFound(fmt::format("compile: {} {}.{} is not open; ask require() first",
                                            toolchain.name, toolchain.major, toolchain.minor));
    }

    [[noreturn]] static void fail(const CompileJob& job, const std::string& log) {
        throw CompileError(job.program, job.target.name(), job.arguments, log);
    }

    static void create(const NvrtcApi& api, Program& program, const CompileJob& job) {
        // NVRTC takes C strings; embedded text is a view.
        const std::string source(job.source);
        std::vector<std::string> owned;
        owned.reserve(job.headers.size() * 2);
        std::vector<const char*> texts;
        std::vector<const char*> names;
        for (const EmbeddedFile& header : job.headers) {
            texts.push_back(owned.emplace_back(header.text).c_str());
            names.push_back(owned.emplace_back(header.name).c_str());
        }
        nvrtcResult result =
            api.create_program(program.address(), source.c_str(), job.source_name.c_str(),
                               static_cast<int>(texts.size()), texts.data(), names.data());
        for (const std::string& kernel : job.kernels) {
            if (result == NVRTC_SUCCESS && !is_plain_name(kernel)) {
                result = api.add_name_expression(program.get(), kernel.c_str());
            }
        }
        if (result != NVRTC_SUCCESS) {
            fail(job, api.get_error_string(result));
        }
    }

    // Empty where NVRTC has none to give: for people only, so never a failure.
    static std::string ptx(const NvrtcApi& api, const Program& program) {
        std::size_t size = 0;
        if (api.get_ptx_size(program.get(), &size) != NVRTC_SUCCESS) {
            return {};
        }
        std::string text(size, '\0');
        return api.get_ptx(program.get(), text.data()) == NVRTC_SUCCESS ? text : std::string();
    }

    static Bytes artifact(const NvrtcApi& api, const Program& program, const CompileJob& job) {
        std::size_t size = 0;
        nvrtcResult result = job.target.ptx ? api.get_ptx_size(program.get(), &size)
                                            : api.get_cubin_size(program.get(), &size);
        // PTX keeps the NUL at its end: the driver wants one.
        Bytes bytes(size);
        auto* const into = reinterpret_cast<char*>(bytes.data());
        if (result == NVRTC_SUCCESS && size > 0) {
            result = job.target.ptx ? api.get_ptx(program.get(), into)
                                    : api.get_cubin(program.get(), into);
        }
        if (result != NVRTC_SUCCESS || size == 0) {
            fail(job, fmt::format("no artifact came out: {}", api.get_error_string(result)));
        }
        return bytes;
    }

    static std::vector<cache::KernelRecord> records(const NvrtcApi& api, const Program& program,
                                                    const CompileJob& job,
                                                    const CompiledProgram& compiled) {
        const auto facts =
            job.target.ptx ? std::vector<KernelFacts>{} : read_cubin_facts(compiled.artifact);
        const std::string_view ptx(reinterpret_cast<const char*>(compiled.artifact.data()),
                                   job.target.ptx ? compiled.artifact.size() : 0);
        std::vector<cache::KernelRecord> found;
        for (const std::string& kernel : job.kernels) {
            cache::KernelRecord record{kernel, kernel, -1, -1};
            if (!is_plain_name(kernel)) {
                const char* lowered = nullptr;
                if (api.get_lowered_name(program.get(), kernel.c_str(), &lowered) !=
                    NVRTC_SUCCESS) {
                    fail(job, fmt::format("the source has no kernel {}", kernel));
                }
                record.lowered_name = lowered;
            }
            const auto fact = std::find_if(facts.begin(), facts.end(), [&](const KernelFacts& one) {
                return one.name == record.lowered_name;
            });
            if (fact != facts.end()) {
                record.registers = fact->registers;
                record.static_shared_bytes = fact->static_shared_bytes;
            } else if (ptx.find(fmt::format(".entry {}(", record.lowered_name)) ==
                       std::string_view::npos) {
                // Found now, with a name to look for, not by the driver at some later load.
                fail(job, fmt::format("the source has no kernel {}; is it extern \"C\"?\n{}",
                                      kernel, compiled.log));
            }
            found.push_back(std::move(record));
        }
        return found;
    }

    void warn_of_two_toolkits() const {
        const auto path = environment_.variable ? environment_.variable("CUDA_PATH") : std::nullopt;
        const auto home = environment_.variable ? environment_.variable("CUDA_HOME") : std::nullopt;
        std::error_code error;
        if (path && home && *path != *home && !std::filesystem::equivalent(*path, *home, error)) {
            log(LogLevel::warning,
                fmt::format("CUDA_PATH is {} and CUDA_HOME is {}: opforge looks in CUDA_PATH first",
                            *path, *home));
        }
    }

    const DiscoveryEnvironment environment_;
    ForkSafeMutex mutex_;
    RememberedFingerprints fingerprints_;
    std::optional<cache::Toolchain> quick_;
    bool quick_done_ = false;
    std::vector<std::pair<cache::Toolchain, const NvrtcApi*>> opened_;
};

}  // namespace

std::shared_ptr<Compiler> nvrtc_compiler(const std::filesystem::path& cache_root) {
    return nvrtc_compiler(DiscoveryEnvironment::of_process(), cache_root);
}

std::shared_ptr<Compiler> nvrtc_compiler(DiscoveryEnvironment environment,
                                         const std::filesystem::path& cache_root) {
    return std::make_shared<NvrtcCompiler>(std::move(environment), cache_root);
}

}  // namespace opforge::builder
