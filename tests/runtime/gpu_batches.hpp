// Cases run on a GPU and on the host in batches: one upload, a launch or two a case, one download.
// Every byte is compared, those around the tensors too.
#pragma once

#include "sweep.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace opforge::test {

class GpuBatches {
public:
    /// On device 0 of `api`, whose primary context must be current.
    explicit GpuBatches(const driver::DriverApi& api) : api_(&api) {}
    void add(const SweepCase& of);
    /// Runs what is left. How many cases differ, and batches with stray writes; the first few are
    /// told to Catch.
    [[nodiscard]] int failures();

private:
    struct Placed {
        SweepCase of;
        std::size_t input = 0;  // offsets into the arena
        std::size_t output = 0;
    };
    std::size_t place(const Bytes& tensor, std::size_t skew, oracle::Element element);
    static void call(const Placed& placed, std::byte* base, runtime::Device device);
    void run();
    [[nodiscard]] const SweepCase& owner_of(std::size_t offset) const;
    void tell(const std::string& text);

    const driver::DriverApi* api_;
    Bytes arena_;
    std::vector<Placed> cases_;
    int failures_ = 0;
};

}  // namespace opforge::test
