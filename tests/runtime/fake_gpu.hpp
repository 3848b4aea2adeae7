// A GPU made of the fake driver, the fake compiler and the host backend: a launch of a
// fake-quantization kernel is carried out, so that what the dispatcher hands to a kernel shows in
// its result.
#pragma once

#include "support/fake_compiler.hpp"
#include "support/fake_driver.hpp"

#include <opforge/cache/cache.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <memory>
#include <vector>

namespace opforge::test {

class FakeGpu {
public:
    explicit FakeGpu(std::vector<FakeDevice> devices = {FakeDevice{}});
    FakeGpu(const FakeGpu&) = delete;
    FakeGpu& operator=(const FakeGpu&) = delete;
    ~FakeGpu();  // the process's own driver is in use again

    FakeDriver driver;
    std::shared_ptr<FakeCompiler> compiler = std::make_shared<FakeCompiler>();
    std::shared_ptr<cache::Cache> cache;

    /// Kernels launched so far, by name.
    [[nodiscard]] std::vector<std::string> kernels() const;
};

}  // namespace opforge::test
