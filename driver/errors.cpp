#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

namespace opforge {

namespace {

// What a user can do about the failures that users meet; empty for the rest. The numbers are
// CUresult's, spelt out because cuda.h is for real_driver.cpp alone.
std::string_view remedy(int result) noexcept {
    switch (result) {
    case 2:  // CUDA_ERROR_OUT_OF_MEMORY
        return "free device memory (nvidia-smi shows who holds it) or use a smaller tensor";
    case 100:  // CUDA_ERROR_NO_DEVICE
        return "check that nvidia-smi lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it";
    case 209:  // CUDA_ERROR_NO_BINARY_FOR_GPU
        return "build for this GPU's own architecture";
    case 222:  // CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        return "the PTX is newer than the driver: update the driver, or compile with an older "
               "NVRTC";
    case 700:  // CUDA_ERROR_ILLEGAL_ADDRESS
    case 710:  // CUDA_ERROR_ASSERT
    case 714:  // CUDA_ERROR_HARDWARE_STACK_ERROR
    case 715:  // CUDA_ERROR_ILLEGAL_INSTRUCTION
    case 716:  // CUDA_ERROR_MISALIGNED_ADDRESS
    case 717:  // CUDA_ERROR_INVALID_ADDRESS_SPACE
    case 718:  // CUDA_ERROR_INVALID_PC
    case 719:  // CUDA_ERROR_LAUNCH_FAILED
        return "a kernel queued before, maybe another library's, broke this context for good: "
               "start a new process, "
               "and find the kernel with compute-sanitizer";
    case 802:  // CUDA_ERROR_SYSTEM_NOT_READY
        return "start the services that the GPUs need (nvidia-fabricmanager on NVSwitch machines)";
    case 803:  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
        return "libcuda and the kernel module are of different versions: reload the module or "
               "reboot";
    default:
        return {};
    }
}

std::string describe(const driver::DriverApi& api, int result, const std::string& call,
                     const std::string& subject) {
    // Neither answer is certain: a driver older than the code it returns has no name for it.
    const char* name = nullptr;
    if (api.error_name(result, &name) != 0 || name == nullptr) {
        name = "unknown CUDA error";
    }
    const char* reason = nullptr;
    if (api.error_string(result, &reason) != 0) {
        reason = nullptr;
    }
    std::string text = subject.empty()
                           ? fmt::format("{}: {} ({})", call, name, result)
                           : fmt::format("{}({}): {} ({})", call, subject, name, result);
    if (reason != nullptr && *reason != '\0') {
        text += fmt::format(": {}", reason);
    }
    if (const std::string_view advice = remedy(result); !advice.empty()) {
        text += fmt::format("; {}", advice);
    }
    return text;
}

}  // namespace

DriverError::DriverError(const driver::DriverApi& api, int result, const std::string& call,
                         const std::string& subject)
    : Error(describe(api, result, call, subject)), result_(result) {}
DriverError::DriverError(const std::string& message) : Error(message) {}
DriverError::~DriverError() = default;
std::string_view DriverError::kind() const noexcept {
    return "DriverError";
}

NoDevice::~NoDevice() = default;
std::string_view NoDevice::kind() const noexcept {
    return "NoDevice";
}

void driver::throw_driver_error(const DriverApi& api, int result, const char* call) {
    throw DriverError(api, result, call);
}

void driver::check(const DriverApi& api, int result, const char* call, const std::string& subject) {
    if (result != 0) {
        throw DriverError(api, result, call, subject);
    }
}

}  // namespace opforge
