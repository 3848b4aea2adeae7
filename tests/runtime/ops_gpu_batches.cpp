#include "ops_gpu_batches.hpp"

#include <opforge/driver/device_buffer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <utility>

namespace opforge::test {

namespace {

constexpr std::byte kBorder{0xA5};
constexpr std::size_t kBorderBytes = 64;
constexpr std::size_t kAlignment = 256;  // what CUDA's own allocations have at least
constexpr std::size_t kBatchBytes = std::size_t{64} << 20U;

}  // namespace

void OpsGpuBatches::add(const OpsCase& of) {
    if (arena_.size() > kBatchBytes) {
        run();
    }
    Placed placed{of, make_tensors(of), {}, {}, arena_.size()};
    for (const Role role : kAllRoles) {
        auto& tensor = placed.tensors[role];
        if (!tensor.has_value()) {
            continue;
        }
        const std::size_t begin =
            (arena_.size() + kBorderBytes + kAlignment - 1) / kAlignment * kAlignment +
            of.skew[role] * runtime::size_bytes(tensor->dtype);
        arena_.resize(begin + tensor->bytes.size() + kBorderBytes, kBorder);
        std::copy(tensor->bytes.begin(), tensor->bytes.end(),
                  arena_.begin() + static_cast<std::ptrdiff_t>(begin));
        placed.offset[role] = begin;
        placed.size_bytes[role] = tensor->bytes.size();
        tensor->bytes = {};
    }
    cases_.push_back(std::move(placed));
}

int OpsGpuBatches::failures() {
    run();
    return failures_;
}

void OpsGpuBatches::call(const Placed& placed, std::byte* base, runtime::Device device) {
    ByRole<void*> memory{};
    for (const Role role : kAllRoles) {
        memory[role] = base + placed.offset[role];
    }
    test::run(make_call(placed.of, placed.tensors, memory, device));
}

// What is compared here becomes the host's bytes, so that the rest can be compared as a whole.
void OpsGpuBatches::compare(const Placed& placed, std::span<const std::byte> actual) {
    std::string text;
    for (const Role role : kAllRoles) {
        const auto& tensor = placed.tensors[role];
        if (!tensor.has_value() || !tensor->written) {
            continue;
        }
        const auto expected =
            std::span(arena_).subspan(placed.offset[role], placed.size_bytes[role]);
        const auto result = actual.subspan(placed.offset[role], placed.size_bytes[role]);
        if (text.empty()) {
            text = mismatch(placed.of, role, tensor->dtype, expected, result);
        }
        std::copy(result.begin(), result.end(), expected.begin());
    }
    tell(text);
}

void OpsGpuBatches::run() {
    if (cases_.empty()) {
        return;
    }
    const driver::DeviceBuffer buffer(*api_, arena_.size());
    buffer.upload(arena_);
    for (const Placed& placed : cases_) {
        call(placed, static_cast<std::byte*>(buffer.data()), runtime::Device::cuda(0));
    }
    for (const Placed& placed : cases_) {  // while the GPU works
        call(placed, arena_.data(), runtime::Device::cpu());
    }
    Bytes actual(arena_.size());
    buffer.download(actual);
    for (const Placed& placed : cases_) {
        compare(placed, actual);
    }
    const auto stray = std::mismatch(arena_.begin(), arena_.end(), actual.begin()).first;
    if (stray != arena_.end()) {
        const auto offset = static_cast<std::size_t>(stray - arena_.begin());
        const auto after = std::find_if(cases_.begin(), cases_.end(), [&](const Placed& placed) {
            return placed.begin > offset;
        });
        tell("the GPU wrote outside the outputs, at or before\n  " +
             describe(std::prev(after)->of));
    }
    cases_.clear();
    arena_.clear();
}

void OpsGpuBatches::tell(const std::string& text) {
    if (!text.empty() && ++failures_ <= 5) {
        UNSCOPED_INFO(text);
    }
}

}  // namespace opforge::test
