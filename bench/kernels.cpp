// opforge-bench-kernels: the speed of every op as a share of a copy kernel's that moves the same
// total of bytes, the two taking turns in one run. Before every timed launch L2 is filled with
// other data. A share is the median over the rounds of copy time / op time of one round.
#include "kernel_cells.hpp"
#include "machine.hpp"
#include "program.hpp"
#include "statistics.hpp"

#include <opforge/builder/op_builder.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/driver/stream.hpp>
#include <opforge/embedded/opforge_bench_kernel_sources.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace opforge::bench {
namespace {

using nlohmann::json;

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

class Bench {
public:
    explicit Bench(const driver::DriverApi& api)
        : api_(&api), copy_(CopyBuilder().load_program(0, "copy")), stream_(api), start_(api),
          end_(api), flush_(api, kFlush), from_(api, 3 * kLargest), to_(api, 2 * kLargest),
          records_(api, 128 * kMi) {
        fill();
        memory_.input = from_.data();
        memory_.codes = from_.data();
        memory_.error = static_cast<std::byte*>(from_.data()) + kLargest;
        memory_.output = to_.data();
        memory_.params = static_cast<std::byte*>(records_.data());
        memory_.records = static_cast<std::byte*>(records_.data()) + 64 * kMi;
    }

    json measure(const Cell& cell, int rounds) {
        for (int i = 0; i < kWarmUps; ++i) {
            cell.run(memory_, stream_.handle());
            copy(cell.bytes);
        }
        std::vector<double> shares;
        std::vector<double> op_times;
        std::vector<double> copy_times;
        for (int i = 0; i < rounds; ++i) {
            const double copied = time([&] { copy(cell.bytes); });
            const double done = time([&] { cell.run(memory_, stream_.handle()); });
            shares.push_back(copied / done);
            op_times.push_back(done);
            copy_times.push_back(copied);
        }
        const Summary share = summarise(shares);
        const double microseconds = summarise(op_times).median;
        return {{"op", cell.op},
                {"dtype", cell.dtype},
                {"bits", cell.bits},
                {"type", cell.type},
                {"rounding", cell.stochastic ? "stochastic" : "nearest"},
                {"group_size", cell.group_size},
                {"elements", cell.elements},
                {"devices", cell.devices},
                {"bytes", cell.bytes},
                {"microseconds", microseconds},
                {"copy_microseconds", summarise(copy_times).median},
                {"terabytes_a_second", cell.bytes / microseconds / 1e6},
                {"share_of_copy", share.median},
                {"share_smallest", share.smallest},
                {"share_largest", share.largest}};
    }

private:
    /// Finite values of all magnitudes up to 1, as fp16, bf16 and fp32 alike.
    void fill() {
        std::vector<std::byte> block(64 * kMi);
        std::uint64_t state = 1;
        for (std::size_t i = 0; i + 4 <= block.size(); i += 4) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            const std::uint32_t bits = static_cast<std::uint32_t>(state >> 33U) & 0xb7ffb7ffU;
            for (unsigned k = 0; k < 4; ++k) {
                block[i + k] = static_cast<std::byte>(bits >> (8 * k));
            }
        }
        for (std::size_t at = 0; at < from_.size_bytes(); at += block.size()) {
            from_.upload(block, at);
        }
        for (std::size_t at = 0; at < records_.size_bytes(); at += block.size()) {
            records_.upload(block, at);
        }
    }

    /// Reads half of the bytes and writes as many.
    void copy(double bytes) {
        const auto count = static_cast<long long>(bytes / 2 / 16);
        driver::DevicePointer input = from_.address();
        driver::DevicePointer output = to_.address();
        long long vectors = count;
        void* arguments[] = {&input, &output, &vectors};
        const auto blocks = static_cast<std::uint32_t>(std::max(1LL, (count + 1023) / 1024));
        driver::launch(*api_, copy_->kernel("opforge_bench_copy"),
                       {.grid_x = blocks, .block_x = 256}, stream_.handle(), arguments, "copy");
    }

    template <class Act>
    double time(Act act) {
        driver::check(
            *api_, api_->fill_async(flush_.address(), 0x5a, flush_.size_bytes(), stream_.handle()),
            "cuMemsetD8Async");
        start_.record(stream_.handle());
        act();
        end_.record(stream_.handle());
        end_.synchronize();
        return static_cast<double>(end_.since(start_).count()) * 1000.0;
    }

    const driver::DriverApi* api_;
    std::shared_ptr<const builder::LoadedProgram> copy_;
    driver::Stream stream_;
    driver::Event start_;
    driver::Event end_;
    driver::DeviceBuffer flush_;
    driver::DeviceBuffer from_;
    driver::DeviceBuffer to_;
    driver::DeviceBuffer records_;
    CellMemory memory_;
};

int run(int count, char** arguments) {
    CLI::App app{"The speed of every op, as a share of a copy kernel's of the same bytes"};
    bool thorough = false;
    int rounds = 7;
    std::string filter;
    std::filesystem::path json_file;
    app.add_flag("--thorough", thorough, "Every combination, not only those that tell the most");
    app.add_option("-r,--rounds", rounds)->check(CLI::Range(5, 10000))->capture_default_str();
    app.add_option("--filter", filter, "Only cells whose name has this in it");
    app.add_option("--json", json_file, "Also write every value to this file");
    CLI11_PARSE(app, count, arguments);

    const driver::DriverApi& api = driver::real_driver();
    const driver::DeviceInfo device = driver::device_info(api, 0);
    const driver::ScopedContext current(api, driver::primary_context(api, 0));
    const json machine = describe_machine();
    fmt::print(
        "opforge kernels on {}; {} rounds, copy and op taking turns, L2 flushed before each\n",
        device.name, rounds);
    fmt::print("{:62} {:>9} {:>6} {:>7} {:>13}\n", "cell", "us", "TB/s", "of copy", "spread");
    Bench bench(api);
    json cells = json::array();
    for (const Cell& cell : all_cells(thorough)) {
        if (cell.name().find(filter) == std::string::npos) {
            continue;
        }
        json result = bench.measure(cell, rounds);
        fmt::print(
            "{:62} {:9.1f} {:6.2f} {:7.2f}   {:.2f} - {:.2f}\n", cell.name(),
            result.at("microseconds").get<double>(), result.at("terabytes_a_second").get<double>(),
            result.at("share_of_copy").get<double>(), result.at("share_smallest").get<double>(),
            result.at("share_largest").get<double>());
        cells.push_back(std::move(result));
    }
    write_figures(json_file, json{{"benchmark", "kernels"},
                                  {"machine", machine},
                                  {"device", device.name},
                                  {"rounds", rounds},
                                  {"cells", std::move(cells)}}
                                 .dump(1));
    return 0;
}

}  // namespace
}  // namespace opforge::bench

int main(int count, char** arguments) {
    return opforge::bench::run_program("opforge-bench-kernels", opforge::bench::run, count,
                                       arguments);
}
