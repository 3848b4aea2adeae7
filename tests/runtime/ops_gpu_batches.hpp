// Cases of the ops with codes on a GPU and on the host, in batches, as gpu_batches.hpp does it for
// fake quantization: one upload, a launch or more a case, one download, and every byte compared.
#pragma once

#include "ops_sweep.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace opforge::test {

class OpsGpuBatches {
public:
    /// On device 0 of `api`, whose primary context must be current.
    explicit OpsGpuBatches(const driver::DriverApi& api) : api_(&api) {}
    void add(const OpsCase& of);
    /// Runs what is left. How many cases differ, and batches with stray writes; the first few are
    /// told to Catch.
    [[nodiscard]] int failures();

private:
    struct Placed {
        OpsCase of;
        OpsTensors tensors;            // their bytes have gone to the arena
        ByRole<std::size_t> offset{};  // into the arena
        ByRole<std::size_t> size_bytes{};
        std::size_t begin = 0;
    };
    static void call(const Placed& placed, std::byte* base, runtime::Device device);
    void compare(const Placed& placed, std::span<const std::byte> actual);
    void run();
    void tell(const std::string& text);

    const driver::DriverApi* api_;
    Bytes arena_;
    std::vector<Placed> cases_;
    int failures_ = 0;
};

}  // namespace opforge::test
