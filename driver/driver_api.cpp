#include "primary_contexts.hpp"

#include <opforge/driver/driver_api.hpp>

namespace opforge::driver {

DriverApi::~DriverApi() {
    forget_primary_contexts(this);
}

int DriverApi::kernel_parameter(KernelHandle /*kernel*/, std::size_t /*index*/,
                                std::size_t* /*offset_bytes*/, std::size_t* /*size_bytes*/) const {
    return 801;  // CUDA_ERROR_NOT_SUPPORTED
}

int DriverApi::occupancy_clusters(int* /*clusters*/, FunctionHandle /*function*/,
                                  const LaunchConfig& /*config*/) const {
    return 801;  // CUDA_ERROR_NOT_SUPPORTED
}

}  // namespace opforge::driver
