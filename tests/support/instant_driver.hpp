// A fake driver that, once it is told to hurry, answers what a call asks after its first use from
// constants: no lock, no allocation, no book. For counting and timing what opforge itself does.
// Everything else is FakeDriver's, which writes it down: `count()` tells what a call should not
// have asked. One thread while it hurries.
//
//   test::InstantDriver driver;
//   ... the first use ...
//   driver.hurry(0);
//   ... calls ...
//   CHECK(driver.seen.launches == calls);
//   CHECK(driver.count() == 0);
#pragma once

#include "support/fake_driver.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace opforge::test {

class InstantDriver final : public FakeDriver {
public:
    struct Seen {
        std::uint64_t launches = 0;
        std::uint64_t context_get_current = 0;
        std::uint64_t context_get_device = 0;
        std::uint64_t stream_get_context = 0;
        friend bool operator==(const Seen&, const Seen&) = default;
    };

    explicit InstantDriver(std::vector<FakeDevice> devices = {FakeDevice{}})
        : FakeDriver(std::move(devices)) {}

    /// From now on the context that is current, and every stream's, is the one that is current now,
    /// of this device. Forgets the calls so far.
    void hurry(int device) {
        FakeDriver::context_get_current(&context_);
        device_ = device;
        hurries_ = true;
        seen = {};
        forget_calls();
    }

    int context_get_current(driver::ContextHandle* context) const override {
        if (!hurries_) {
            return FakeDriver::context_get_current(context);
        }
        ++seen.context_get_current;
        *context = context_;
        return 0;
    }
    int context_get_device(int* device) const override {
        if (!hurries_) {
            return FakeDriver::context_get_device(device);
        }
        ++seen.context_get_device;
        *device = device_;
        return 0;
    }
    int stream_get_context(driver::StreamHandle stream,
                           driver::ContextHandle* context) const override {
        if (!hurries_) {
            return FakeDriver::stream_get_context(stream, context);
        }
        ++seen.stream_get_context;
        *context = context_;
        return 0;
    }
    int launch(driver::KernelHandle kernel, const driver::LaunchConfig& config,
               driver::StreamHandle stream, void** arguments) const override {
        if (!hurries_) {
            return FakeDriver::launch(kernel, config, stream, arguments);
        }
        ++seen.launches;
        return 0;
    }

    mutable Seen seen;  // since hurry(); the table's functions are const

private:
    bool hurries_ = false;
    driver::ContextHandle context_ = nullptr;
    int device_ = 0;
};

}  // namespace opforge::test
