// Device memory of opforge's own, RAII: for the tools, the tests and the benchmarks. Ops never
// allocate through it.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <span>

namespace opforge::driver {

class OPFORGE_API DeviceBuffer {
public:
    /// In the current context. @throws DriverError (out of memory is CUDA_ERROR_OUT_OF_MEMORY, 2).
    DeviceBuffer(const DriverApi& api, std::size_t size_bytes);
    DeviceBuffer(DeviceBuffer&& other) noexcept;
    DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    ~DeviceBuffer();

    [[nodiscard]] DevicePointer address() const noexcept { return pointer_; }
    /// The address as TensorView wants it. Not for the host to read.
    [[nodiscard]] void* data() const noexcept;
    [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
    /// Synchronous copies. @throws DriverError, InvalidArgument where the sizes do not fit.
    void upload(std::span<const std::byte> from, std::size_t offset_bytes = 0) const;
    void download(std::span<std::byte> into, std::size_t offset_bytes = 0) const;

private:
    const DriverApi* api_;
    DevicePointer pointer_ = 0;
    std::size_t size_bytes_ = 0;
};

}  // namespace opforge::driver
