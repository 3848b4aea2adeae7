// A shared library opened at run time (dlopen), closed with its last owner unless told to stay.
#pragma once

#include <opforge/base/export.hpp>

#include <string>

namespace opforge {

class OPFORGE_API DynamicLibrary {
public:
    DynamicLibrary() = default;
    /// Opens `name` (an absolute path, or a soname for the loader to find), RTLD_NOW | RTLD_LOCAL.
    /// Check with `is_open()`; `error()` holds the loader's own words where it failed.
    explicit DynamicLibrary(const std::string& name);
    DynamicLibrary(DynamicLibrary&& other) noexcept;
    DynamicLibrary& operator=(DynamicLibrary&& other) noexcept;
    DynamicLibrary(const DynamicLibrary&) = delete;
    DynamicLibrary& operator=(const DynamicLibrary&) = delete;
    ~DynamicLibrary();

    [[nodiscard]] bool is_open() const noexcept { return handle_ != nullptr; }
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    /// The symbol's address, null where the library has none of that name.
    [[nodiscard]] void* symbol(const char* name) const noexcept;
    /// The file the loader really opened, from its own link map; empty where unknown.
    [[nodiscard]] std::string path() const;
    /// Never unload: for libraries whose threads or atexit handlers outlive their last caller.
    void leak() noexcept { handle_leaked_ = true; }

private:
    void* handle_ = nullptr;
    bool handle_leaked_ = false;
    std::string error_;
};

}  // namespace opforge
