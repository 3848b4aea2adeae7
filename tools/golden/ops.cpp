#include "ops.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/runtime/ds_quantizer.hpp>

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

namespace opforge::golden {

namespace {

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

int narrow_to_int(const Case& of, const std::string& name) {
    const std::int64_t value = integer(of, name);
    if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
        throw VectorError(
            fmt::format("case {}: \"{}\" {} does not fit an int", of.index, name, value));
    }
    return static_cast<int>(value);
}

Tensors run_ds_quantizer(const Case& of, const Place& place) {
    const std::int64_t groups = integer(of, "groups");
    const int bits = narrow_to_int(of, "bits");
    const bool stochastic = flag(of, "sr");
    const bool asymmetric = flag(of, "asym");
    runtime::CallOptions options;
    if (stochastic) {
        options.random =
            runtime::RandomState{unsigned_integer(of, "seed"), unsigned_integer(of, "offset")};
    }
    const Place::Copy tensor(place, input(of, "input"));
    runtime::ds_quantizer(tensor.view(), groups, bits, stochastic, asymmetric, options);
    Tensors outputs;
    outputs.emplace("output", tensor.read());
    return outputs;
}

constexpr std::array<std::pair<std::string_view, Runner>, 1> kRunners{{
    {"ds_quantizer", run_ds_quantizer},
}};

}  // namespace

struct Place::Gpu {
    const driver::DriverApi& api;
    driver::ScopedContext current;
    Gpu(const driver::DriverApi& driver_api, int ordinal)
        : api(driver_api), current(driver_api, driver::primary_context(driver_api, ordinal)) {}
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

struct Place::Copy::Memory {
    Bytes host;
    std::optional<driver::DeviceBuffer> device;
};

Place::Copy::Copy(const Place& place, const Tensor& tensor)
    : memory_(std::make_unique<Memory>()), dtype_(tensor.dtype()), shape_(tensor.shape()) {
    view_.dtype = to_dtype(dtype_);
    view_.shape = runtime::Shape(shape_);
    view_.device = place.device();
    const auto bytes = tensor.bytes();
    if (place.gpu_ == nullptr) {
        memory_->host.assign(bytes.begin(), bytes.end());
        view_.data = memory_->host.data();
    } else if (!bytes.empty()) {
        memory_->device.emplace(place.gpu_->api, bytes.size());
        memory_->device->upload(bytes);
        view_.data = memory_->device->data();
    }
}
Place::Copy::Copy(Copy&&) noexcept = default;
Place::Copy& Place::Copy::operator=(Copy&&) noexcept = default;
Place::Copy::~Copy() = default;

Tensor Place::Copy::read() const {
    if (!memory_->device.has_value()) {
        return {dtype_, shape_, memory_->host};
    }
    Bytes bytes(memory_->device->size_bytes());
    memory_->device->download(bytes);
    return {dtype_, shape_, std::move(bytes)};
}

Runner find_runner(std::string_view op) noexcept {
    for (const auto& [name, runner] : kRunners) {
        if (name == op) {
            return runner;
        }
    }
    return nullptr;
}

}  // namespace opforge::golden
