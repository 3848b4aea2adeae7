// What a call of ds_quantizer costs the host after the first one, counted: a program of its own,
// because it counts every allocation and every lock of the process (dispatch_counters.cpp).
#include "runtime/dispatch_counters.hpp"
#include "support/fake_compiler.hpp"
#include "support/instant_driver.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/opforge.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <iostream>
#include <linux/seccomp.h>
#include <memory>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace opforge;
using opforge::test::FakeDevice;
using opforge::test::InstantDriver;

namespace {

/// The process's quantizer on a driver that answers at once, device 0's primary context current.
class InstantGpu {
public:
    explicit InstantGpu(std::vector<FakeDevice> devices = {FakeDevice{}})
        : driver(std::move(devices)) {
        runtime::configure_quantizer({.cache = std::make_shared<cache::Cache>(cache::CacheOptions{
                                          .directory = {}, .memory_only = true}),
                                      .compiler = std::make_shared<test::FakeCompiler>(),
                                      .driver = &driver,
                                      .driver_version = 13000,
                                      .policy = cache::Policy::exact});
        current_ =
            std::make_unique<driver::ScopedContext>(driver, driver::primary_context(driver, 0));
        REQUIRE(driver.stream_create(&stream, 0) == 0);
    }
    InstantGpu(const InstantGpu&) = delete;
    InstantGpu& operator=(const InstantGpu&) = delete;
    ~InstantGpu() {
        current_.reset();
        runtime::configure_quantizer({});
    }

    InstantDriver driver;
    driver::StreamHandle stream = nullptr;

private:
    std::unique_ptr<driver::ScopedContext> current_;
};

/// Calls of every dtype and flag, of groups for a few lanes, for a block, and of no alignment.
class Calls {
public:
    Calls() {
        for (const Dtype dtype : {Dtype::float16, Dtype::bfloat16, Dtype::float32}) {
            for (const std::int64_t group_size : {64, 8192, 100, 8001}) {
                views_.push_back({memory_.data(), dtype, {4 * group_size}, Device::cuda(0)});
            }
        }
    }
    [[nodiscard]] std::uint64_t count() const { return views_.size() * 4; }

    void make(driver::StreamHandle stream) const {
        CallOptions options;
        options.stream = stream;
        for (const TensorView& view : views_) {
            for (const bool stochastic : {false, true}) {
                for (const bool asymmetric : {false, true}) {
                    ds_quantizer(view, 4, 8, stochastic, asymmetric, options);
                }
            }
        }
    }

private:
    std::vector<std::uint32_t> memory_ = std::vector<std::uint32_t>(std::size_t{1} << 16U);
    std::vector<TensorView> views_;
};

}  // namespace

TEST_CASE("a call after the first asks for the current context and launches", "[dispatch]") {
    InstantGpu gpu;
    const Calls calls;
    calls.make(nullptr);
    gpu.driver.hurry(0);
    SECTION("on the default stream") {
        calls.make(nullptr);
        CHECK(gpu.driver.seen ==
              InstantDriver::Seen{.launches = calls.count(), .context_get_current = calls.count()});
    }
    SECTION("on a stream, whose context it asks for") {
        calls.make(gpu.stream);
        CHECK(gpu.driver.seen == InstantDriver::Seen{.launches = calls.count(),
                                                     .context_get_current = calls.count(),
                                                     .stream_get_context = calls.count()});
    }
    CHECK(gpu.driver.count() == 0);  // nothing else
}

TEST_CASE("beside other devices it asks whose context that is, too", "[dispatch]") {
    InstantGpu gpu({FakeDevice{}, FakeDevice{}});
    const Calls calls;
    calls.make(nullptr);
    gpu.driver.hurry(0);
    calls.make(gpu.stream);
    // But of those that are remembered with the primary context, which stays what it is.
    const std::uint64_t asked = gpu.driver.seen.context_get_device;
    CHECK(asked < calls.count());
    CHECK(gpu.driver.seen == InstantDriver::Seen{.launches = calls.count(),
                                                 .context_get_current = calls.count(),
                                                 .context_get_device = asked,
                                                 .stream_get_context = calls.count()});
    CHECK(gpu.driver.count() == 0);
}

TEST_CASE("a call after the first allocates nothing and takes no lock", "[dispatch]") {
    InstantGpu gpu;
    const Calls calls;
    const test::HostCosts before_first = test::host_costs();
    calls.make(gpu.stream);
    const test::HostCosts first = test::host_costs() - before_first;
    gpu.driver.hurry(0);

    const test::HostCosts before = test::host_costs();
    calls.make(gpu.stream);
    calls.make(nullptr);
    const test::HostCosts later = test::host_costs() - before;

    CHECK(first.allocations > 0);  // the counters count
    CHECK(first.locks > 0);
    CHECK(later.allocations == 0);
    CHECK(later.locks == 0);
    CHECK(gpu.driver.seen.launches == 2 * calls.count());
}

TEST_CASE("a call after the first makes no system call", "[dispatch]") {
#ifdef __SANITIZE_THREAD__
    std::cout << "SKIPPED: ThreadSanitizer makes system calls of its own\n";
    return;
#endif
    InstantGpu gpu;
    const Calls calls;
    calls.make(gpu.stream);
    gpu.driver.hurry(0);
    constexpr int kNoFilter = 42;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // From here on the kernel kills the process at any call but read, write, exit.
        if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
            ::_exit(kNoFilter);
        }
        calls.make(gpu.stream);
        calls.make(nullptr);
        ::syscall(SYS_exit, gpu.driver.seen.launches == 2 * calls.count() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNoFilter) {
        std::cout << "SKIPPED: the kernel gives no strict seccomp filter here\n";
        return;
    }
    CAPTURE(status);
    CHECK(WIFEXITED(status));  // killed: it made a system call
    CHECK(WEXITSTATUS(status) == 0);
}
