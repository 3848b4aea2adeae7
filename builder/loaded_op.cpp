// What an op's programs are once they are loaded: kernels by their public names.
#include <opforge/base/error.hpp>
#include <opforge/builder/op_builder.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opforge::builder {

LoadedProgram::LoadedProgram(std::string name, Target target, driver::LoadedLibrary library,
                             cache::Manifest manifest, cache::Origin origin,
                             std::chrono::microseconds load_time)
    : name_(std::move(name)), target_(target), library_(std::move(library)),
      manifest_(std::move(manifest)), origin_(origin), load_time_(load_time) {
    kernels_.reserve(manifest_.kernels.size());
    for (const cache::KernelRecord& record : manifest_.kernels) {
        kernels_.emplace_back(record.name, library_.kernel(record.lowered_name));
    }
}

driver::KernelHandle LoadedProgram::kernel(std::string_view public_name) const {
    for (const auto& [name, handle] : kernels_) {
        if (name == public_name) {
            return handle;
        }
    }
    throw InvalidArgument(fmt::format("program {}: it has no kernel `{}`", name_, public_name));
}

LoadedOp::LoadedOp(std::string name, std::vector<std::shared_ptr<const LoadedProgram>> programs)
    : name_(std::move(name)), programs_(std::move(programs)) {}

const LoadedProgram& LoadedOp::program_of(std::string_view kernel) const {
    for (const auto& program : programs_) {
        const auto& records = program->manifest().kernels;
        const bool has =
            std::any_of(records.begin(), records.end(),
                        [&](const cache::KernelRecord& one) { return one.name == kernel; });
        if (has) {
            return *program;
        }
    }
    throw InvalidArgument(
        fmt::format("op {}: none of its programs has a kernel `{}`", name_, kernel));
}

driver::KernelHandle LoadedOp::kernel(std::string_view public_name) const {
    return program_of(public_name).kernel(public_name);
}

}  // namespace opforge::builder
