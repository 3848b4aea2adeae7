// What the driver layer throws: CUDA's own name and text are always in it.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/error.hpp>

#include <string>

namespace opforge {

namespace driver {
class DriverApi;
}

/// A CUDA call failed. "cuLibraryLoadData(ds_quantize_fp16): CUDA_ERROR_NO_BINARY_FOR_GPU (209): no
/// kernel image ..."
class OPFORGE_API DriverError : public Error {
public:
    DriverError(const driver::DriverApi& api, int result, const std::string& call,
                const std::string& subject = {});
    /// For failures that are not a CUDA call's (a forked child).
    explicit DriverError(const std::string& message);
    DriverError(const DriverError&) = default;
    DriverError(DriverError&&) = default;
    DriverError& operator=(const DriverError&) = default;
    DriverError& operator=(DriverError&&) = default;
    ~DriverError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
    /// CUresult's number; 0 where no CUDA call was made.
    [[nodiscard]] int result() const noexcept { return result_; }

private:
    int result_ = 0;
};

/// No driver, no GPU, or no GPU of that number.
class OPFORGE_API NoDevice : public Error {
public:
    using Error::Error;
    NoDevice(const NoDevice&) = default;
    NoDevice(NoDevice&&) = default;
    NoDevice& operator=(const NoDevice&) = default;
    NoDevice& operator=(NoDevice&&) = default;
    ~NoDevice() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

namespace driver {
[[noreturn]] OPFORGE_API void throw_driver_error(const DriverApi& api, int result,
                                                 const char* call);

/// Throws DriverError unless `result` is success. Costs a comparison where it is: also on the path
/// of every call.
inline void check(const DriverApi& api, int result, const char* call) {
    if (result != 0) {
        throw_driver_error(api, result, call);
    }
}
/// With what the call was about.
OPFORGE_API void check(const DriverApi& api, int result, const char* call,
                       const std::string& subject);
}  // namespace driver

}  // namespace opforge
