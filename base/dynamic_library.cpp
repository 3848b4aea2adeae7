#include <opforge/base/dynamic_library.hpp>

#include <dlfcn.h>
#include <link.h>

#include <utility>

namespace opforge {

DynamicLibrary::DynamicLibrary(const std::string& name) {
    ::dlerror();  // forget an older failure, so that the text below is this one's
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): only after the line above
    handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) {
        const char* text = ::dlerror();
        error_ = text != nullptr ? text : "dlopen failed without a reason";
    }
}

DynamicLibrary::DynamicLibrary(DynamicLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), handle_leaked_(other.handle_leaked_),
      error_(std::move(other.error_)) {}

DynamicLibrary& DynamicLibrary::operator=(DynamicLibrary&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(handle_leaked_, other.handle_leaked_);
    std::swap(error_, other.error_);
    return *this;
}

DynamicLibrary::~DynamicLibrary() {
    if (handle_ != nullptr && !handle_leaked_) {
        ::dlclose(handle_);
    }
}

void* DynamicLibrary::symbol(const char* name) const noexcept {
    return handle_ != nullptr ? ::dlsym(handle_, name) : nullptr;
}

std::string DynamicLibrary::path() const {
    link_map* map = nullptr;
    if (handle_ == nullptr || ::dlinfo(handle_, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0) {
        return {};
    }
    return map != nullptr && map->l_name != nullptr ? map->l_name : std::string{};
}

}  // namespace opforge
