#include "kernel_timing.hpp"

#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/embedded/opforge_bench_kernel_sources.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace opforge::bench {
namespace {

constexpr std::size_t kMi = std::size_t{1} << 20U;
constexpr std::size_t kLargest = 256 * kMi;  // 64 Mi values of fp32
constexpr std::size_t kFlush = 256 * kMi;    // several times any L2
constexpr int kWarmUps = 2;

/// The copy kernel as an op of its own, through the same builder and cache as the quantizer.
class CopyBuilder : public builder::OpBuilder {
public:
    [[nodiscard]] std::string name() const override { return "bench_copy"; }
    [[nodiscard]] std::vector<builder::ProgramSpec> programs() const override {
        builder::ProgramSpec spec;
        spec.name = "copy";
        spec.source = "copy.cu";
        spec.kernels = {"opforge_bench_copy"};
        return {spec};
    }
    [[nodiscard]] const EmbeddedSources& embedded() const override { return kernel_text(); }
};

std::byte* at(const driver::DeviceBuffer& buffer, std::size_t offset) {
    return static_cast<std::byte*>(buffer.data()) + offset;
}

}  // namespace

KernelTiming::KernelTiming(const driver::DriverApi& api)
    : api_(&api), copy_(CopyBuilder().load_program(0, "copy")), stream_(api), start_(api),
      end_(api), flush_(api, kFlush), from_(api, 3 * kLargest), to_(api, 2 * kLargest),
      records_(api, 128 * kMi) {
    fill();
    memory_.input = from_.data();
    memory_.codes = from_.data();
    memory_.error = at(from_, kLargest);
    memory_.peer = at(from_, 2 * kLargest);
    memory_.output = to_.data();
    memory_.params = records_.data();
    memory_.records = at(records_, 64 * kMi);
}

/// Finite values of all magnitudes up to 1, as fp16, bf16 and fp32 alike.
void KernelTiming::fill() {
    std::vector<std::byte> block(64 * kMi);
    std::uint64_t state = 1;
    for (std::size_t i = 0; i + 4 <= block.size(); i += 4) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const std::uint32_t bits = static_cast<std::uint32_t>(state >> 33U) & 0xb7ffb7ffU;
        for (unsigned k = 0; k < 4; ++k) {
            block[i + k] = static_cast<std::byte>(bits >> (8 * k));
        }
    }
    for (driver::DeviceBuffer* buffer : {&from_, &records_}) {
        for (std::size_t place = 0; place < buffer->size_bytes(); place += block.size()) {
            buffer->upload(block, place);
        }
    }
}

void KernelTiming::copy(double bytes) {
    const auto count = static_cast<long long>(bytes / 2 / 16);
    driver::DevicePointer input = from_.address();
    driver::DevicePointer output = to_.address();
    long long vectors = count;
    void* arguments[] = {&input, &output, &vectors};
    const auto blocks = static_cast<std::uint32_t>(std::max(1LL, (count + 1023) / 1024));
    driver::launch(*api_, copy_->kernel("opforge_bench_copy"), {.grid_x = blocks, .block_x = 256},
                   stream_.handle(), arguments, "copy");
}

double KernelTiming::time(const std::function<void()>& act) {
    start_.record(stream_.handle());
    act();
    end_.record(stream_.handle());
    end_.synchronize();
    return static_cast<double>(end_.since(start_).count()) * 1000.0;
}

double KernelTiming::time_flushed(const std::function<void()>& act) {
    driver::check(*api_,
                  api_->fill_async(flush_.address(), 0x5a, flush_.size_bytes(), stream_.handle()),
                  "cuMemsetD8Async");
    return time(act);
}

KernelTiming::Turns KernelTiming::take_turns(double bytes, const std::vector<Launch>& launches,
                                             int rounds) {
    Turns turns;
    turns.launches.resize(launches.size());
    for (int round = -kWarmUps; round < rounds; ++round) {
        const double copied = time_flushed([&] { copy(bytes); });
        if (round >= 0) {
            turns.copy.push_back(copied);
        }
        for (std::size_t i = 0; i < launches.size(); ++i) {
            const double done = time_flushed([&] { launches[i](memory_, stream_.handle()); });
            if (round >= 0) {
                turns.launches[i].push_back(done);
            }
        }
    }
    return turns;
}

Summary ratios(const std::vector<double>& numerators, const std::vector<double>& denominators) {
    std::vector<double> values;
    for (std::size_t i = 0; i < std::min(numerators.size(), denominators.size()); ++i) {
        values.push_back(numerators[i] / denominators[i]);
    }
    return summarise(values);
}

void add_figures(nlohmann::json& to, const std::vector<double>& copy,
                 const std::vector<double>& launch) {
    const Summary share = ratios(copy, launch);
    to["microseconds"] = summarise(launch).median;
    to["copy_microseconds"] = summarise(copy).median;
    to["share_of_copy"] = share.median;
    to["share_smallest"] = share.smallest;
    to["share_largest"] = share.largest;
}

nlohmann::json measure(KernelTiming& timing, const Cell& cell, int rounds) {
    const KernelTiming::Turns turns = timing.take_turns(cell.bytes, {cell.run}, rounds);
    nlohmann::json result = describe(cell);
    add_figures(result, turns.copy, turns.launches.front());
    result["terabytes_a_second"] = cell.bytes / result["microseconds"].get<double>() / 1e6;
    return result;
}

}  // namespace opforge::bench
