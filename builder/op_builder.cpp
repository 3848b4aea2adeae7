#include "context_defaults.hpp"
#include "kept_code.hpp"
#include "opened_device.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/base/shell_words.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/op_builder.hpp>
#include <opforge/builder/profile.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace opforge::builder {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::microseconds since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

// A manifest holds UTF-8 of bounded size; a compiler's log quotes whatever the source held.
std::string tame_log(const std::string& log) {
    constexpr std::size_t kMost = 65536;
    std::string tame = log.substr(0, kMost);
    std::replace_if(
        tame.begin(), tame.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
        '?');
    return tame;
}

cache::Digest digest_of(const EmbeddedFile& file) {
    if (const auto digest = cache::Digest::from_hex(file.sha256)) {
        return *digest;
    }
    throw InvalidArgument(fmt::format("embedded file {}: `{}` is not a SHA-256; embed with "
                                      "opforge_embed_kernels()",
                                      file.name, file.sha256));
}

// Entries that this driver loads, less those that it has just refused.
struct Acceptance {
    int driver_version = 0;
    std::set<cache::Digest> refused;

    [[nodiscard]] bool operator()(const cache::Manifest& manifest) const {
        return manifest.minimum_driver <= driver_version &&
               !refused.contains(manifest.artifact.sha256);
    }
};

}  // namespace

struct OpBuilder::Implementation {
    using Program = std::shared_ptr<const LoadedProgram>;

    explicit Implementation(const OpBuilder& owner) : builder(owner) {}

    [[nodiscard]] const BuilderContext& context() const { return builder.context_; }

    [[nodiscard]] ProgramSpec find_program(std::string_view name) const {
        if (auto found = builder.program(name)) {
            return *std::move(found);
        }
        std::string known;
        for (const ProgramSpec& spec : builder.programs()) {
            known += (known.empty() ? "" : ", ") + spec.name;
        }
        throw InvalidArgument(
            fmt::format("op {}: it has no program `{}`; it has {}", builder.name(), name, known));
    }

    [[nodiscard]] CompileOptions options_for(const ProgramSpec& spec) const {
        CompileOptions options = builder.compile_options();
        options.defines.insert(options.defines.end(), spec.defines.begin(), spec.defines.end());
        return options;
    }

    [[nodiscard]] const EmbeddedSource& source_of(const ProgramSpec& spec) const {
        const EmbeddedSource* source = builder.embedded().find(spec.source);
        if (source == nullptr) {
            throw InvalidArgument(
                fmt::format("program {}: its source `{}` is not embedded", spec.name, spec.source));
        }
        return *source;
    }

    [[nodiscard]] std::optional<KeptCode> kept_code(const ProgramSpec& spec,
                                                    const Target& target) const {
        if (!context().keep_directory) {
            return std::nullopt;
        }
        return KeptCode(*context().keep_directory, builder.name(), spec.name, target.name());
    }

    // What the cache calls on a miss.
    [[nodiscard]] cache::Built compile(const ProgramSpec& spec, const Target& target,
                                       const cache::Toolchain& toolchain) const {
        const EmbeddedSource& source = source_of(spec);
        CompileJob job;
        job.program = spec.name;
        job.source_name = source.file.name;
        job.source = source.file.text;
        job.headers.assign(source.headers.begin(), source.headers.end());
        const CompileOptions options = options_for(spec);
        job.arguments = options.nvrtc_arguments(target);
        job.minimal = options.minimal;
        job.kernels = spec.kernels;
        job.target = target;
        job.toolchain = toolchain;
        const std::optional<KeptCode> kept = kept_code(spec, target);
        job.keep_ptx = kept.has_value() && !target.ptx;
        CompiledProgram compiled = context().compiler->compile(job);
        if (kept) {
            kept->keep_log(compiled.log);
            if (!compiled.ptx.empty()) {
                kept->keep_ptx(compiled.ptx);
            }
        }
        cache::Built built;
        built.manifest.request = builder.request(spec, target);
        built.manifest.toolchain = toolchain;
        built.manifest.artifact = {target.artifact_kind(), cache::sha256(compiled.artifact),
                                   compiled.artifact.size()};
        built.manifest.kernels = std::move(compiled.kernels);
        built.manifest.minimum_driver = minimum_driver(target, toolchain.major, toolchain.minor);
        built.manifest.compile_microseconds = compiled.microseconds;
        built.manifest.compile_log = tame_log(compiled.log);
        built.manifest.producer = "opforge " OPFORGE_VERSION;
        built.artifact = std::move(compiled.artifact);
        return built;
    }

    [[nodiscard]] cache::Policy sealed_policy(cache::Policy policy) const {
        const bool chosen = context().policy || environment("OPFORGE_POLICY");
        return policy == cache::Policy::exact && !chosen ? cache::Policy::compatible : policy;
    }

    [[nodiscard]] cache::Lookup lookup(const ProgramSpec& spec, const Target& target,
                                       cache::Policy policy) const {
        cache::Lookup lookup;
        lookup.request = builder.request(spec, target);
        lookup.policy = policy;
        lookup.sealed_policy = sealed_policy(policy);
        if (policy == cache::Policy::exact) {
            lookup.toolchain = context().compiler->toolchain();
        }
        return lookup;
    }

    // The command that puts all of the op into this cache, or, where it has no folder, into one
    // that the reader names. With a policy of its own: where OPFORGE_POLICY says offline, it would
    // else refuse in turn.
    [[nodiscard]] std::string prewarm_command(const Target& target) const {
        const auto& root = context().cache->root().path;
        return shell_words({context().tool, "prewarm", "--arch", target.name(), "--ops",
                            builder.name(), "--policy", "compatible", "--cache-dir",
                            root.empty() ? "DIR" : root.string()});
    }

    [[nodiscard]] OfflineMiss offline_miss(const ProgramSpec& spec, const Target& target,
                                           const std::string& reason) const {
        const auto& root = context().cache->root().path;
        if (root.empty()) {
            return OfflineMiss(fmt::format(
                "load {}: {} for {} is in no layer, there is no cache folder and the policy is "
                "offline; where compiling is allowed, run `{}` with a folder's absolute path for "
                "DIR, and set OPFORGE_CACHE_DIR to that",
                builder.name(), spec.name, target.name(), prewarm_command(target)));
        }
        const bool says_more = !reason.empty() && !reason.starts_with("no entry ");
        return OfflineMiss(
            fmt::format("load {}: {} for {} is not in the cache {}{} and the policy is offline; "
                        "where compiling is allowed, run `{}`",
                        builder.name(), spec.name, target.name(), root.string(),
                        says_more ? fmt::format(" ({})", reason) : "", prewarm_command(target)));
    }

    // Null where the driver refuses the entry, which is then out of `acceptance`.
    [[nodiscard]] Program try_load(const ProgramSpec& spec, const Target& target,
                                   const OpenedDevice& device, const cache::Result& found,
                                   Acceptance& acceptance, Clock::time_point start) const {
        const cache::Entry& entry = *found.entry;
        try {
            driver::LoadedLibrary library(*device.api, entry.artifact, spec.name);
            auto program = std::make_shared<const LoadedProgram>(
                spec.name, target, std::move(library), entry.manifest, found.origin, since(start));
            report(*program, entry);
            if (const auto kept = kept_code(spec, target)) {
                kept->keep_artifact(entry.artifact, target.ptx);
            }
            return program;
        } catch (const DriverError& error) {
            if (found.origin == cache::Origin::compiled) {
                throw;  // nothing better is left to try
            }
            refuse(entry, error, acceptance);
            return nullptr;
        }
    }

    void refuse(const cache::Entry& entry, const DriverError& error, Acceptance& acceptance) const {
        constexpr int kInvalidImage = 200;
        acceptance.refused.insert(entry.manifest.artifact.sha256);
        log(LogLevel::warning,
            fmt::format("{}: passing over the cached entry {}: {}", builder.name(),
                        entry.directory.empty() ? "in memory" : entry.directory.string(),
                        error.what()));
        // Its bytes hash to what they should and still are no code: left there, it would be met by
        // every process, and publishing never replaces. Other refusals may be this driver's alone.
        if (error.result() == kInvalidImage) {
            static_cast<void>(context().cache->quarantine(entry));
        }
    }

    void report(const LoadedProgram& program, const cache::Entry& entry) const {
        if (!log_enabled(LogLevel::info)) {
            return;
        }
        const cache::Toolchain& toolchain = entry.manifest.toolchain;
        log(LogLevel::info,
            fmt::format("{}: loaded {} for {} from {} ({}; made by {} {}.{}) in {:.2f} ms",
                        builder.name(), program.name(), program.target().name(),
                        cache::to_string(program.origin()),
                        entry.directory.empty() ? "in no directory" : entry.directory.string(),
                        toolchain.name, toolchain.major, toolchain.minor,
                        static_cast<double>(program.load_time().count()) / 1000.0));
    }

    // The first candidate that some NVRTC compiles for, and that NVRTC.
    [[nodiscard]] std::pair<Target, cache::Toolchain> choose_compile(const ProgramSpec& spec,
                                                                     const DeviceFacts& facts) {
        std::exception_ptr first;
        for (const Target& target : candidates(facts, spec.wants)) {
            try {
                const cache::Toolchain toolchain =
                    context().compiler->require(target, facts.driver_version);
                warn_of_newer_device(target, toolchain, facts);
                return {target, toolchain};
            } catch (const ToolchainNotFound&) {
                if (!first) {
                    first = std::current_exception();  // that of the device's own target says most
                }
            }
        }
        std::rethrow_exception(
            first);  // candidates() is never empty for a device that is not too old
    }

    void warn_of_newer_device(const Target& target, const cache::Toolchain& toolchain,
                              const DeviceFacts& facts) {
        const bool own = target.major == facts.major && target.minor == facts.minor && !target.ptx;
        if (own || warned_of_newer_device.exchange(true)) {
            return;
        }
        log(LogLevel::warning,
            fmt::format("{}: NVRTC {}.{} does not compile for the device's capability {}.{}; it "
                        "compiles for "
                        "{} instead{}: a newer NVRTC gives faster code",
                        builder.name(), toolchain.major, toolchain.minor, facts.major, facts.minor,
                        target.name(),
                        target.ptx ? ", and the driver translates at each start" : ""));
    }

    [[nodiscard]] Program load_now(const ProgramSpec& spec, const OpenedDevice& device) {
        const Clock::time_point start = Clock::now();
        const cache::Policy policy = builder.policy();
        const std::vector<Target> targets = candidates(device.facts, spec.wants);
        Acceptance acceptance{device.facts.driver_version, {}};
        std::string reason;
        for (const Target& target : targets) {
            cache::Lookup lookup = this->lookup(spec, target, policy);
            for (;;) {
                lookup.acceptable = acceptance;
                const cache::Result found = context().cache->find(lookup);
                if (!found.entry) {
                    reason = reason.empty() ? found.reason : reason;
                    break;
                }
                if (Program program = try_load(spec, target, device, found, acceptance, start)) {
                    return program;
                }
            }
        }
        if (policy == cache::Policy::offline) {
            throw offline_miss(spec, targets.front(), reason);
        }
        return compile_and_load(spec, device, policy, std::move(acceptance), false, start);
    }

    [[nodiscard]] Program compile_and_load(const ProgramSpec& spec, const OpenedDevice& device,
                                           cache::Policy policy, Acceptance acceptance,
                                           bool rebuild, Clock::time_point start) {
        const auto [target, toolchain] = choose_compile(spec, device.facts);
        const auto build = [&, &to = target, &with = toolchain] { return compile(spec, to, with); };
        cache::Lookup lookup;
        lookup.request = builder.request(spec, target);
        lookup.policy = policy;
        lookup.sealed_policy = sealed_policy(policy);
        lookup.toolchain = toolchain;
        for (;;) {
            lookup.acceptable = acceptance;
            const cache::Result result = rebuild ? context().cache->rebuild(lookup, build)
                                                 : context().cache->find_or_build(lookup, build);
            if (Program program = try_load(spec, target, device, result, acceptance, start)) {
                return program;
            }
        }
    }

    // Once a program and capability: the first caller works, the others wait; a failure frees the
    // slot.
    [[nodiscard]] Program load_once(const ProgramSpec& spec, const OpenedDevice& device) {
        const std::string key = memo_key(spec.name, device.facts);
        std::promise<Program> promise;
        const std::uint64_t generation = fork_generation();
        {
            std::unique_lock lock(mutex);
            const auto found = programs.find(key);
            // What the parent of this process had begun will never end here.
            if (found != programs.end() &&
                (found->second.generation == generation || is_ready(found->second.program))) {
                const std::shared_future<Program> future = found->second.program;
                lock.unlock();
                return future.get();
            }
            programs.insert_or_assign(key, Memo{promise.get_future().share(), generation});
        }
        try {
            note_asked(spec, device.facts);
            Program program = load_now(spec, device);
            promise.set_value(program);
            return program;
        } catch (...) {
            {
                const std::lock_guard lock(mutex);
                programs.erase(key);
            }
            promise.set_exception(std::current_exception());
            throw;
        }
    }

    // What was asked for, whatever comes of it: the target that a prewarm for the device builds.
    void note_asked(const ProgramSpec& spec, const DeviceFacts& facts) const {
        // Never empty for a device that is not too old.
        note_in_profile({builder.name(), spec.name, candidates(facts, spec.wants).front()});
    }

    static std::string memo_key(const std::string& program, const DeviceFacts& facts) {
        return fmt::format("{}@{}.{}", program, facts.major, facts.minor);
    }

    // What fails in `work` is told in the outcome.
    template <class Work>
    [[nodiscard]] static BuildOutcome outcome_of(const ProgramSpec& spec, const Target& asked,
                                                 const Work& work) {
        const Clock::time_point start = Clock::now();
        BuildOutcome outcome;
        outcome.program = spec.name;
        outcome.target = lower(asked, spec.wants);
        try {
            work(outcome);
        } catch (const Error& error) {
            outcome.error = error.what();
            outcome.error_kind = error.kind();
        } catch (const std::exception& error) {
            outcome.error = error.what();
            outcome.error_kind = "Error";
        }
        outcome.time = since(start);
        return outcome;
    }

    void note(BuildOutcome& outcome, const ProgramSpec& spec, const cache::Result& result) const {
        outcome.compiled = result.origin == cache::Origin::compiled;
        outcome.directory = result.entry->directory;
        outcome.size_bytes = result.entry->artifact.size();
        if (const auto kept = kept_code(spec, outcome.target)) {
            kept->keep_artifact(result.entry->artifact, outcome.target.ptx);
        }
    }

    // A null entry: it would have to be compiled. @throws OfflineMiss where that is not allowed
    [[nodiscard]] cache::Result find_entry(const ProgramSpec& spec, const Target& target,
                                           const cache::Lookup& lookup) const {
        cache::Result result = context().cache->find(lookup);
        if (!result.entry && lookup.policy == cache::Policy::offline) {
            throw offline_miss(spec, target, result.reason);
        }
        return result;
    }

    [[nodiscard]] std::optional<BuildOutcome> find_one(const ProgramSpec& spec,
                                                       const Target& asked) const {
        bool decided = true;
        BuildOutcome outcome = outcome_of(spec, asked, [&](BuildOutcome& told) {
            const cache::Result result =
                find_entry(spec, told.target, lookup(spec, told.target, builder.policy()));
            if (result.entry) {
                note(told, spec, result);
            }
            decided = result.entry != nullptr;
        });
        return decided ? std::optional(std::move(outcome)) : std::nullopt;
    }

    [[nodiscard]] BuildOutcome build_one(const ProgramSpec& spec, const Target& asked) const {
        return outcome_of(spec, asked, [&](BuildOutcome& told) {
            cache::Lookup lookup = this->lookup(spec, told.target, builder.policy());
            cache::Result result = find_entry(spec, told.target, lookup);
            if (!result.entry) {
                const cache::Toolchain toolchain = context().compiler->require(told.target, 0);
                lookup.toolchain = toolchain;
                result = context().cache->find_or_build(
                    lookup, [&] { return compile(spec, told.target, toolchain); });
            }
            note(told, spec, result);
        });
    }

    // Whether every program is in the cache for this device.
    [[nodiscard]] bool all_cached(const DeviceFacts& facts, cache::Policy policy) const {
        const auto specs = builder.programs();
        return std::all_of(specs.begin(), specs.end(), [&](const ProgramSpec& spec) {
            const auto targets = candidates(facts, spec.wants);
            return std::any_of(targets.begin(), targets.end(), [&](const Target& target) {
                cache::Lookup lookup = this->lookup(spec, target, policy);
                lookup.acceptable = Acceptance{facts.driver_version, {}};
                return context().cache->find(lookup).entry != nullptr;
            });
        });
    }

    [[nodiscard]] Compatibility compatibility(int ordinal) {
        if (driver::in_forked_child()) {
            return {false,
                    "this process was forked after CUDA was initialised; CUDA does not work here: "
                    "start the process anew (spawn) instead"};
        }
        const DeviceFacts facts = open_device(context(), ordinal).facts;
        if (std::string reason = why_too_old(facts); !reason.empty()) {
            return {false, std::move(reason)};
        }
        const cache::Policy policy = builder.policy();
        if (all_cached(facts, policy)) {
            return {true, fmt::format("every program is in the cache for sm_{}{}", facts.major,
                                      facts.minor)};
        }
        if (policy == cache::Policy::offline) {
            return {false, fmt::format("the policy is offline and programs are missing from the "
                                       "cache; run `{}`",
                                       prewarm_command({facts.major, facts.minor}))};
        }
        for (const ProgramSpec& spec : builder.programs()) {
            const auto [target, toolchain] = choose_compile(spec, facts);
            return {true, fmt::format("NVRTC {}.{} compiles for {}", toolchain.major,
                                      toolchain.minor, target.name())};
        }
        return {true, "the op has no programs"};
    }

    struct Memo {
        std::shared_future<Program> program;
        std::uint64_t generation = 0;  // of forks, when it was begun
    };
    static bool is_ready(const std::shared_future<Program>& program) {
        return program.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }

    const OpBuilder& builder;
    ForkSafeMutex mutex;
    std::map<std::string, Memo> programs;
    std::atomic<bool> warned_of_newer_device = false;
};

OpBuilder::OpBuilder(BuilderContext context)
    : context_(std::move(context)), implementation_(std::make_unique<Implementation>(*this)) {
    warn_of_unknown_variables();
    context_ = with_defaults(std::move(context_));
    if (!context_.keep_directory) {
        if (auto directory = environment("OPFORGE_KEEP_DIR")) {
            context_.keep_directory = *std::move(directory);
        }
    }
}

OpBuilder::~OpBuilder() = default;

CompileOptions OpBuilder::compile_options() const {
    return {};
}

std::optional<ProgramSpec> OpBuilder::program(std::string_view name) const {
    for (ProgramSpec& spec : programs()) {
        if (spec.name == name) {
            return std::move(spec);
        }
    }
    return std::nullopt;
}

std::vector<std::string> OpBuilder::sources() const {
    std::vector<std::string> names;
    for (const ProgramSpec& spec : programs()) {
        if (std::find(names.begin(), names.end(), spec.source) == names.end()) {
            names.push_back(spec.source);
        }
    }
    return names;
}

Compatibility OpBuilder::is_compatible(int device) const noexcept {
    try {
        return implementation_->compatibility(device);
    } catch (const std::exception& error) {
        return {false, error.what()};
    }
}

std::shared_ptr<const LoadedOp> OpBuilder::load(int device) const {
    const OpenedDevice opened = open_usable_device(context_, device);
    std::vector<std::shared_ptr<const LoadedProgram>> loaded;
    for (const ProgramSpec& spec : programs()) {
        loaded.push_back(implementation_->load_once(spec, opened));
    }
    return std::make_shared<const LoadedOp>(name(), std::move(loaded));
}

std::shared_ptr<const LoadedProgram> OpBuilder::load_program(int device,
                                                             std::string_view program) const {
    const ProgramSpec spec = implementation_->find_program(program);
    return implementation_->load_once(spec, open_usable_device(context_, device));
}

std::shared_ptr<const LoadedOp> OpBuilder::jit_load(int device) const {
    const OpenedDevice opened = open_usable_device(context_, device);
    const cache::Policy in_force = policy();
    std::vector<std::shared_ptr<const LoadedProgram>> loaded;
    for (const ProgramSpec& spec : programs()) {
        if (in_force == cache::Policy::offline) {
            throw OfflineMiss(
                fmt::format("compile {}: the policy is offline, so nothing is compiled; load() "
                            "takes what the cache has",
                            spec.name));
        }
        implementation_->note_asked(spec, opened.facts);
        auto program = implementation_->compile_and_load(
            spec, opened, in_force, Acceptance{opened.facts.driver_version, {}}, true,
            Clock::now());
        std::promise<std::shared_ptr<const LoadedProgram>> ready;
        ready.set_value(program);
        const std::lock_guard lock(implementation_->mutex);
        implementation_->programs.insert_or_assign(
            Implementation::memo_key(spec.name, opened.facts),
            Implementation::Memo{ready.get_future().share(), fork_generation()});
        loaded.push_back(std::move(program));
    }
    return std::make_shared<const LoadedOp>(name(), std::move(loaded));
}

std::vector<BuildOutcome> OpBuilder::build(const Target& target) const {
    std::vector<BuildOutcome> outcomes;
    for (const ProgramSpec& spec : programs()) {
        note_in_profile({name(), spec.name, lower(target, spec.wants)});
        outcomes.push_back(implementation_->build_one(spec, target));
    }
    return outcomes;
}

BuildOutcome OpBuilder::build_program(const Target& target, std::string_view program) const {
    const ProgramSpec spec = implementation_->find_program(program);
    note_in_profile({name(), spec.name, lower(target, spec.wants)});
    return implementation_->build_one(spec, target);
}

std::optional<BuildOutcome> OpBuilder::find_program(const Target& target,
                                                    std::string_view program) const {
    return implementation_->find_one(implementation_->find_program(program), target);
}

cache::Request OpBuilder::request(const ProgramSpec& program, const Target& target) const {
    const EmbeddedSource& source = implementation_->source_of(program);
    const CompileOptions options = implementation_->options_for(program);
    cache::Request request;
    request.op = name();
    request.program = program.name;
    request.source = digest_of(source.file);
    for (const EmbeddedFile& header : source.headers) {
        request.headers.push_back({std::string(header.name), digest_of(header)});
    }
    request.options = options.normalised();
    request.defines = options.defines;
    request.kernels = program.kernels;
    request.target = target.name();
    request.artifact_kind = target.artifact_kind();
    return request;
}

cache::Policy OpBuilder::policy() const {
    if (context_.policy) {
        return *context_.policy;
    }
    if (const auto text = environment("OPFORGE_POLICY")) {
        return cache::parse_policy(*text);
    }
    return context_.compiler->toolchain() ? cache::Policy::exact : cache::Policy::compatible;
}

cache::Policy OpBuilder::sealed_policy() const {
    return implementation_->sealed_policy(policy());
}

}  // namespace opforge::builder
