#include "place.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/device_buffer.hpp>

#include <fmt/format.h>

#include <optional>
#include <span>
#include <utility>

namespace opforge::golden {

struct Place::Gpu {
    const driver::DriverApi& api;
    driver::ScopedContext current;
    Gpu(const driver::DriverApi& driver_api, int ordinal)
        : api(driver_api), current(driver_api, driver::primary_context(driver_api, ordinal)) {}
};

struct Place::Memory {
    Bytes host;
    std::optional<driver::DeviceBuffer> device;

    Memory(const Place& place, std::size_t size_bytes) {
        if (place.gpu_ == nullptr) {
            host.resize(size_bytes);
        } else if (size_bytes != 0) {
            device.emplace(place.gpu_->api, size_bytes);
        }
    }
    [[nodiscard]] void* data() noexcept { return device ? device->data() : host.data(); }
    void write(std::span<const std::byte> bytes) {
        if (device.has_value()) {
            device->upload(bytes);
        } else {
            host.assign(bytes.begin(), bytes.end());
        }
    }
    [[nodiscard]] Bytes read() const {
        if (!device.has_value()) {
            return host;
        }
        Bytes bytes(device->size_bytes());
        device->download(bytes);
        return bytes;
    }
};

Place::Place(runtime::Device device) : device_(device) {
    if (device.kind == runtime::Device::Kind::cuda) {
        const driver::DriverApi& api = driver::real_driver();
        // Asked first: its error names the devices there are.
        static_cast<void>(driver::device_info(api, device.ordinal));
        gpu_ = std::make_unique<Gpu>(api, device.ordinal);
    }
}
Place::~Place() = default;

Place::Copy::Copy(const Place& place, const Tensor& tensor)
    : dtype_(tensor.dtype()), shape_(tensor.shape()) {
    view_.dtype = to_dtype(dtype_);
    view_.shape = runtime::Shape(shape_);
    view_.device = place.device();
    memory_ = std::make_unique<Memory>(place, tensor.bytes().size());
    memory_->write(tensor.bytes());
    view_.data = memory_->data();
}
Place::Copy::Copy(Copy&&) noexcept = default;
Place::Copy& Place::Copy::operator=(Copy&&) noexcept = default;
Place::Copy::~Copy() = default;

Tensor Place::Copy::read() const {
    return {dtype_, shape_, memory_->read()};
}

Place::Outputs::Outputs(const Place& place) : place_(&place) {}
Place::Outputs::~Outputs() = default;

void* Place::Outputs::allocate(std::size_t size_bytes) {
    memory_.push_back(std::make_unique<Memory>(*place_, size_bytes));
    // An element that an op leaves out shows as one that it got wrong, not as the zero of fresh
    // memory, which is often right.
    constexpr std::byte kUnwritten{0xDB};
    memory_.back()->write(Bytes(size_bytes, kUnwritten));
    return memory_.back()->data();
}

runtime::Allocator Place::Outputs::allocator() {
    return [this](std::size_t size_bytes, runtime::Device) { return allocate(size_bytes); };
}

Tensor Place::Outputs::read(const runtime::TensorView& view) const {
    const auto dimensions = view.shape.dimensions();
    std::vector<std::int64_t> shape(dimensions.begin(), dimensions.end());
    std::string dtype(runtime::to_string(view.dtype));
    if (view.elements() == 0) {
        return {std::move(dtype), std::move(shape), Bytes{}};
    }
    for (const auto& memory : memory_) {
        if (memory->data() == view.data) {
            Bytes bytes = memory->read();
            if (bytes.size() == view.size_in_bytes()) {
                return {std::move(dtype), std::move(shape), std::move(bytes)};
            }
        }
    }
    throw Error(fmt::format("an output of {} bytes is not the memory that was allocated for it",
                            view.size_in_bytes()));
}

runtime::Dtype to_dtype(const std::string& name) {
    using runtime::Dtype;
    for (const Dtype dtype :
         {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64, Dtype::int8,
          Dtype::uint8, Dtype::int16, Dtype::int32, Dtype::int64}) {
        if (runtime::to_string(dtype) == name) {
            return dtype;
        }
    }
    throw VectorError(fmt::format("dtype {} is not one that an op takes", name));
}

}  // namespace opforge::golden
