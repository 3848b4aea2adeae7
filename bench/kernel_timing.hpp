// Memory, clock and copy kernel that all measurements of kernels share.
#pragma once

#include "kernel_cells.hpp"
#include "statistics.hpp"

#include <opforge/builder/op_builder.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/stream.hpp>

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace opforge::bench {

/// On the current context's device. One thread.
class KernelTiming {
public:
    using Launch = std::function<void(const CellMemory&, driver::StreamHandle)>;

    explicit KernelTiming(const driver::DriverApi& api);

    [[nodiscard]] const CellMemory& memory() const noexcept { return memory_; }
    [[nodiscard]] driver::StreamHandle stream() const noexcept { return stream_.handle(); }

    /// Queues the copy kernel: reads half of the bytes and writes as many.
    void copy(double bytes);

    /// Device microseconds of what `act` queues on stream(); nothing is flushed.
    double time(const std::function<void()>& act);

    /// Microseconds by turns: in each round the copy of the same bytes and then every launch, L2
    /// filled with other data before each. After two rounds that do not count.
    struct Turns {
        std::vector<double> copy;
        std::vector<std::vector<double>> launches;  // one series for each launch
    };
    [[nodiscard]] Turns take_turns(double bytes, const std::vector<Launch>& launches, int rounds);

private:
    void fill();
    double time_flushed(const std::function<void()>& act);

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

/// numerators[i] / denominators[i], summarised.
[[nodiscard]] Summary ratios(const std::vector<double>& numerators,
                             const std::vector<double>& denominators);

/// Adds microseconds, copy_microseconds and share_of_copy with its spread, from a series by turns.
void add_figures(nlohmann::json& to, const std::vector<double>& copy,
                 const std::vector<double>& launch);

/// A cell beside the copy: its description and its figures.
[[nodiscard]] nlohmann::json measure(KernelTiming& timing, const Cell& cell, int rounds);

}  // namespace opforge::bench
