#include "gpu_batches.hpp"

#include <opforge/driver/device_buffer.hpp>
#include <opforge/runtime/ds_quantizer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <span>

namespace opforge::test {

namespace {

constexpr std::byte kBorder{0xA5};
constexpr std::size_t kBorderBytes = 64;
constexpr std::size_t kAlignment = 256;  // what CUDA's own allocations have at least
constexpr std::size_t kBatchBytes = std::size_t{64} << 20U;

}  // namespace

void GpuBatches::add(const SweepCase& of) {
    if (arena_.size() + 2 * of.size_bytes() > kBatchBytes) {
        run();
    }
    Placed placed{of, place(make_input(of), of.input_skew, of.element), 0};
    placed.output = of.into_output
                        ? place(Bytes(of.size_bytes(), std::byte{0x3C}), of.output_skew, of.element)
                        : placed.input;
    cases_.push_back(placed);
}

int GpuBatches::failures() {
    run();
    return failures_;
}

std::size_t GpuBatches::place(const Bytes& tensor, std::size_t skew, oracle::Element element) {
    const std::size_t begin =
        (arena_.size() + kBorderBytes + kAlignment - 1) / kAlignment * kAlignment +
        skew * oracle::element_bytes(element);
    arena_.resize(begin + tensor.size() + kBorderBytes, kBorder);
    std::copy(tensor.begin(), tensor.end(), arena_.begin() + static_cast<std::ptrdiff_t>(begin));
    return begin;
}

void GpuBatches::call(const Placed& placed, std::byte* base, runtime::Device device) {
    const oracle::Settings& settings = placed.of.settings;
    runtime::CallOptions options;
    if (settings.stochastic) {
        options.random = placed.of.random();
    }
    if (placed.of.into_output) {
        options.output = view_of(placed.of, base + placed.output, device);
    }
    runtime::ds_quantizer(view_of(placed.of, base + placed.input, device), settings.groups,
                          settings.bits, settings.stochastic, settings.asymmetric, options);
}

void GpuBatches::run() {
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
        const auto expected = std::span(arena_).subspan(placed.output, placed.of.size_bytes());
        const auto result = std::span(actual).subspan(placed.output, placed.of.size_bytes());
        tell(mismatch(placed.of, expected, result));
        // Compared; what is compared below is all the rest.
        std::copy(result.begin(), result.end(), expected.begin());
    }
    const auto stray = std::mismatch(arena_.begin(), arena_.end(), actual.begin()).first;
    if (stray != arena_.end()) {
        const auto offset = static_cast<std::size_t>(stray - arena_.begin());
        tell("the GPU wrote outside the outputs, at or before\n  " + describe(owner_of(offset)));
    }
    cases_.clear();
    arena_.clear();
}

// The case whose tensors begin last before the offset.
const SweepCase& GpuBatches::owner_of(std::size_t offset) const {
    const SweepCase* owner = &cases_.front().of;
    for (const Placed& placed : cases_) {
        if (placed.input <= offset) {
            owner = &placed.of;
        }
    }
    return *owner;
}

void GpuBatches::tell(const std::string& text) {
    if (!text.empty() && ++failures_ <= 5) {
        UNSCOPED_INFO(text);
    }
}

}  // namespace opforge::test
