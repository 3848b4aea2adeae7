// A cubin or PTX loaded through CUlibrary: one load serves every context and every like GPU of the
// process.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace opforge::driver {

class OPFORGE_API LoadedLibrary {
public:
    /// @throws DriverError that names `label`, with CUDA's own reason. CUDA looks at the code when
    /// the first kernel is asked for: what is wrong with it shows there.
    LoadedLibrary(const DriverApi& api, std::span<const std::byte> code, std::string label);
    LoadedLibrary(LoadedLibrary&& other) noexcept;
    LoadedLibrary& operator=(LoadedLibrary&& other) noexcept;
    LoadedLibrary(const LoadedLibrary&) = delete;
    LoadedLibrary& operator=(const LoadedLibrary&) = delete;
    ~LoadedLibrary();

    /// Valid as long as this library. @throws DriverError naming the kernel and the label: not in
    /// the library, or the library's code is broken or of another architecture.
    [[nodiscard]] KernelHandle kernel(const std::string& lowered_name) const;
    [[nodiscard]] const std::string& label() const noexcept { return label_; }
    [[nodiscard]] const DriverApi& api() const noexcept { return *api_; }

private:
    const DriverApi* api_;
    LibraryHandle library_ = nullptr;
    std::string label_;
};

}  // namespace opforge::driver
