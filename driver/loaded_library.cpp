#include <opforge/driver/errors.hpp>
#include <opforge/driver/loaded_library.hpp>

#include <fmt/format.h>

#include <utility>

namespace opforge::driver {

LoadedLibrary::LoadedLibrary(const DriverApi& api, std::span<const std::byte> code,
                             std::string label)
    : api_(&api), label_(std::move(label)) {
    check(api, api.library_load(&library_, code), "cuLibraryLoadData", label_);
}

LoadedLibrary::LoadedLibrary(LoadedLibrary&& other) noexcept
    : api_(other.api_), library_(std::exchange(other.library_, nullptr)),
      label_(std::move(other.label_)) {}

LoadedLibrary& LoadedLibrary::operator=(LoadedLibrary&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(library_, other.library_);
    std::swap(label_, other.label_);
    return *this;
}

LoadedLibrary::~LoadedLibrary() {
    if (library_ != nullptr) {
        // At exit the driver may be gone before us, and then took the library along: its refusal
        // means nothing.
        static_cast<void>(api_->library_unload(library_));
    }
}

KernelHandle LoadedLibrary::kernel(const std::string& lowered_name) const {
    KernelHandle handle = nullptr;
    check(*api_, api_->library_get_kernel(&handle, library_, lowered_name.c_str()),
          "cuLibraryGetKernel", fmt::format("{} of {}", lowered_name, label_));
    return handle;
}

}  // namespace opforge::driver
