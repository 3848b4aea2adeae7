// CUDA as a program without opforge calls it: the peers must not lean on what they are compared
// with.
#pragma once

#include <dlfcn.h>
#include <fmt/format.h>

#include <stdexcept>

namespace opforge::bench {

class RawLibrary {
public:
    explicit RawLibrary(const char* name) : handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ == nullptr) {
            throw std::runtime_error(fmt::format("open {}: {}", name, ::dlerror()));
        }
    }
    template <typename Function>
    [[nodiscard]] Function function(const char* name) const {
        void* const address = ::dlsym(handle_, name);
        if (address == nullptr) {
            throw std::runtime_error(fmt::format("no {}", name));
        }
        return reinterpret_cast<Function>(address);
    }

private:
    void* handle_;  // stays open until the process ends
};

/// @throws std::runtime_error naming the call, unless the result is success
inline void require(int result, const char* call) {
    if (result != 0) {
        throw std::runtime_error(fmt::format("{} returned {}", call, result));
    }
}

}  // namespace opforge::bench
