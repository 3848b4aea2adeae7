#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <utility>

namespace opforge::driver {

namespace {

void check_range(const char* action, std::size_t size_bytes, std::size_t offset_bytes,
                 std::size_t buffer_bytes) {
    if (offset_bytes > buffer_bytes || size_bytes > buffer_bytes - offset_bytes) {
        throw InvalidArgument(
            fmt::format("{} {} bytes at offset {}: the device buffer has {} bytes", action,
                        size_bytes, offset_bytes, buffer_bytes));
    }
}

}  // namespace

DeviceBuffer::DeviceBuffer(const DriverApi& api, std::size_t size_bytes)
    : api_(&api), size_bytes_(size_bytes) {
    if (size_bytes !=
        0) {  // CUDA refuses an empty allocation; an empty tensor is none of its business
        check(api, api.memory_allocate(&pointer_, size_bytes), "cuMemAlloc",
              fmt::format("{} bytes", size_bytes));
    }
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : api_(other.api_), pointer_(std::exchange(other.pointer_, 0)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(pointer_, other.pointer_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
}

DeviceBuffer::~DeviceBuffer() {
    if (pointer_ != 0) {
        static_cast<void>(
            api_->memory_free(pointer_));  // nothing useful can be done about a failure here
    }
}

void* DeviceBuffer::data() const noexcept {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(pointer_));
}

void DeviceBuffer::upload(std::span<const std::byte> from, std::size_t offset_bytes) const {
    check_range("upload", from.size(), offset_bytes, size_bytes_);
    if (from.empty()) {
        return;
    }
    const std::string subject = fmt::format("{} bytes", from.size());
    check(*api_, api_->copy_to_device(pointer_ + offset_bytes, from.data(), from.size()),
          "cuMemcpyHtoD", subject);
    // From pageable memory cuMemcpyHtoD may return before the bytes are on the device; a stream
    // that does not wait for the default stream could then read old ones.
    check(*api_, api_->stream_synchronize(nullptr), "cuStreamSynchronize", subject);
}

void DeviceBuffer::download(std::span<std::byte> into, std::size_t offset_bytes) const {
    check_range("download", into.size(), offset_bytes, size_bytes_);
    if (into.empty()) {
        return;
    }
    check(*api_, api_->copy_to_host(into.data(), pointer_ + offset_bytes, into.size()),
          "cuMemcpyDtoH", fmt::format("{} bytes", into.size()));
}

}  // namespace opforge::driver
