// A cubin or PTX loaded through CUlibrary: one load serves every context and every like GPU of the
// process.
#pragma once

#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace opforge::driver {

class LoadedLibrary {
public:
    /// @throws DriverError that names `label`, with CUDA's own reason.
    LoadedLibrary(const DriverApi& api, std::span<const std::byte> code, std::string label);
    LoadedLibrary(LoadedLibrary&& other) noexcept;
    LoadedLibrary& operator=(LoadedLibrary&& other) noexcept;
    LoadedLibrary(const LoadedLibrary&) = delete;
    LoadedLibrary& operator=(const LoadedLibrary&) = delete;
    ~LoadedLibrary();

    /// Valid as long as this library. @throws DriverError naming the kernel where it is not in the
    /// library.
    [[nodiscard]] KernelHandle kernel(const std::string& lowered_name) const;
    [[nodiscard]] const std::string& label() const noexcept { return label_; }

private:
    const DriverApi* api_;
    LibraryHandle library_ = nullptr;
    std::string label_;
};

}  // namespace opforge::driver
