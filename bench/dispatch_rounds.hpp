// Batches of calls and batches of launches, taking turns.
#pragma once

#include "dispatch_calls.hpp"

#include <utility>
#include <vector>

namespace opforge::bench {

struct DispatchSettings {
    int rounds = 301;
    int batch = 200;  // fewer than the driver queues: beyond, a launch waits for the device
};

/// Nanoseconds a call, one value a round.
struct DispatchRounds {
    std::vector<double> call;
    std::vector<double> launch;
    std::vector<double> difference;
    [[nodiscard]] std::pair<double, double> quartiles() const;  // of the differences
};

/// On device 0, beside cuLaunchKernel as a program without opforge calls it. The launch is the one
/// that the call makes: taken from a captured graph, with its kernel, shape and arguments.
[[nodiscard]] DispatchRounds measure_on_gpu(const DispatchCall& call,
                                            const DispatchSettings& settings);

/// On a driver that answers at once, beside its launch alone.
[[nodiscard]] DispatchRounds measure_on_fake(const DispatchCall& call,
                                             const DispatchSettings& settings);

}  // namespace opforge::bench
