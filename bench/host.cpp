// opforge-bench-host: the speed of ds_quantizer on host tensors, as a share of a copy's that moves
// the same bytes on as many threads, the two taking turns in one run. A share is the median over
// the rounds of copy time / op time of one round. Tensors are larger than the last cache.
#include "machine.hpp"
#include "memory_copy.hpp"
#include "program.hpp"
#include "statistics.hpp"

#include <opforge/opforge.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace opforge::bench {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

struct Cell {
    Dtype dtype = Dtype::float16;
    bool asymmetric = false;
    bool stochastic = false;
    bool in_place = false;
    std::int64_t group_size = 0;  // 0: the whole tensor
};

std::string dtype_name(Dtype dtype) {
    return dtype == Dtype::float16 ? "fp16" : dtype == Dtype::bfloat16 ? "bf16" : "fp32";
}

std::string name_of(const Cell& cell) {
    return fmt::format("{} {} {} {} group {}", dtype_name(cell.dtype),
                       cell.asymmetric ? "asymmetric" : "symmetric",
                       cell.stochastic ? "stochastic" : "nearest",
                       cell.in_place ? "in place" : "to another",
                       cell.group_size == 0 ? "the tensor" : std::to_string(cell.group_size));
}

std::vector<Cell> all_cells(bool thorough) {
    std::vector<Cell> cells;
    for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
        for (const bool stochastic : {false, true}) {
            for (const bool asymmetric : {false, true}) {
                for (const bool in_place : {false, true}) {
                    for (const std::int64_t group_size :
                         {16, 64, 128, 512, 2048, 16384, 65536, 1 << 20, 0}) {
                        const bool common = group_size == 128 || group_size == 2048 ||
                                            group_size == 65536 || group_size == 0;
                        if (thorough || (common && !in_place && (!stochastic || !asymmetric))) {
                            cells.push_back({dtype, asymmetric, stochastic, in_place, group_size});
                        }
                    }
                }
            }
        }
    }
    return cells;
}

template <class Act>
double microseconds(Act act) {
    const Clock::time_point start = Clock::now();
    act();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Format {
    unsigned bytes;
    unsigned mantissa_bits;
    std::uint32_t bias;
};
Format format_of(Dtype dtype) {
    return dtype == Dtype::float16    ? Format{2, 10, 15}
           : dtype == Dtype::bfloat16 ? Format{2, 7, 127}
                                      : Format{4, 23, 127};
}

/// Two tensors. Pages of both are there before anything is timed.
class Memory {
public:
    explicit Memory(std::size_t size_bytes)
        : size_bytes_(size_bytes), from_(new std::byte[size_bytes]),
          to_(new std::byte[size_bytes]()) {}
    [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
    [[nodiscard]] std::byte* from() const { return from_.get(); }
    [[nodiscard]] std::byte* to() const { return to_.get(); }

    /// Values of both signs in the eight powers of two below 1: as of weights, and none so small
    /// that a processor multiplies it a hundred times slower.
    void fill(Dtype dtype) const {
        const Format format = format_of(dtype);
        const unsigned exponent_bits = 8 * format.bytes - 1 - format.mantissa_bits;
        std::uint64_t state = 1;
        for (std::size_t i = 0; i < size_bytes_; i += format.bytes) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            const auto random = static_cast<std::uint32_t>(state >> 32U);
            const std::uint32_t exponent = format.bias - 1 - (random >> 29U);
            const std::uint32_t mantissa = random & ((1U << format.mantissa_bits) - 1);
            const std::uint32_t sign = (random >> 24U) & 1U;
            const std::uint32_t bits =
                (((sign << exponent_bits) | exponent) << format.mantissa_bits) | mantissa;
            std::memcpy(from_.get() + i, &bits, format.bytes);  // little-endian
        }
    }

private:
    std::size_t size_bytes_;
    std::unique_ptr<std::byte[]> from_;
    std::unique_ptr<std::byte[]> to_;
};

json measure(const Cell& cell, const Memory& memory, int threads, int rounds) {
    const auto elements =
        static_cast<std::int64_t>(memory.size_bytes() / runtime::size_bytes(cell.dtype));
    const TensorView input{memory.from(), cell.dtype, {elements}, Device::cpu()};
    CallOptions options;
    options.threads = threads;
    options.random = RandomState{1, 0};
    if (!cell.in_place) {
        options.output = TensorView{memory.to(), cell.dtype, {elements}, Device::cpu()};
    }
    const std::int64_t groups = cell.group_size == 0 ? 1 : elements / cell.group_size;
    const auto op = [&] {
        ds_quantizer(input, groups, 8, cell.stochastic, cell.asymmetric, options);
    };
    const auto copy = [&] {
        copy_memory(memory.to(), memory.from(), memory.size_bytes(), threads);
    };
    op();
    std::vector<double> shares;
    std::vector<double> op_times;
    std::vector<double> copy_times;
    for (int round = 0; round < rounds; ++round) {
        copy_times.push_back(microseconds(copy));
        op_times.push_back(microseconds(op));
        shares.push_back(copy_times.back() / op_times.back());
    }
    const Summary share = summarise(shares);
    const double took = summarise(op_times).median;
    const double bytes = 2.0 * static_cast<double>(memory.size_bytes());
    fmt::print("{:58} {:>10.1f} {:>7.2f} {:>8.2f}   {:.2f} - {:.2f}\n", name_of(cell), took,
               bytes / took / 1e3, share.median, share.smallest, share.largest);
    std::fflush(stdout);
    return {{"dtype", dtype_name(cell.dtype)},
            {"type", cell.asymmetric ? "asymmetric" : "symmetric"},
            {"rounding", cell.stochastic ? "stochastic" : "nearest"},
            {"in_place", cell.in_place},
            {"group_size", elements / groups},
            {"elements", elements},
            {"microseconds", took},
            {"copy_microseconds", summarise(copy_times).median},
            {"gigabytes_a_second", bytes / took / 1e3},
            {"share_of_copy", share.median},
            {"share_smallest", share.smallest},
            {"share_largest", share.largest}};
}

int run(int count, char** arguments) {
    CLI::App app{"The speed of ds_quantizer on the host, as a share of a copy's of the same bytes"};
    bool thorough = false;
    int rounds = 7;
    int threads = static_cast<int>(std::thread::hardware_concurrency());
    int mebibytes = 256;
    std::string filter;
    std::filesystem::path json_file;
    app.add_flag("--thorough", thorough, "Every combination, not only those that tell the most");
    app.add_option("-r,--rounds", rounds)->check(CLI::Range(1, 10000))->capture_default_str();
    app.add_option("-t,--threads", threads, "Of the op and of the copy")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    app.add_option("--mebibytes", mebibytes, "Size of a tensor; beyond the last cache")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    app.add_option("--filter", filter, "Only cells whose name has this in it");
    app.add_option("--json", json_file, "Also write the figures to this file");
    CLI11_PARSE(app, count, arguments);

    const json machine = describe_machine();
    fmt::print("opforge on the host: {}, {} cores; tensors of {} MiB, {} threads, {} rounds\n",
               machine.value("processor", "unknown processor"), machine.value("cores", 0),
               mebibytes, threads, rounds);
    fmt::print("{:58} {:>10} {:>7} {:>8} {:>13}\n", "cell", "us", "GB/s", "of copy", "spread");
    const Memory memory(static_cast<std::size_t>(mebibytes) << 20U);
    json cells = json::array();
    std::optional<Dtype> filled;
    for (const Cell& cell : all_cells(thorough)) {
        if (name_of(cell).find(filter) != std::string::npos) {
            if (filled != cell.dtype || cell.in_place) {
                memory.fill(cell.dtype);
                filled = cell.dtype;
            }
            cells.push_back(measure(cell, memory, threads, rounds));
        }
    }
    write_figures(json_file, json{{"schema", 1},
                                  {"benchmark", "host"},
                                  {"machine", machine},
                                  {"threads", threads},
                                  {"mebibytes", mebibytes},
                                  {"rounds", rounds},
                                  {"cells", std::move(cells)}}
                                 .dump(1));
    return 0;
}

}  // namespace
}  // namespace opforge::bench

int main(int count, char** arguments) {
    return opforge::bench::run_program("opforge-bench-host", opforge::bench::run, count, arguments);
}
