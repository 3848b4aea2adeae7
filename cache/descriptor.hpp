// An open descriptor of a FileSystem, closed with its owner. Private.
#pragma once

#include <opforge/cache/file_system.hpp>

#include <utility>

namespace opforge::cache {

class Descriptor {
public:
    Descriptor(FileSystem& files, int descriptor) noexcept
        : files_(&files), descriptor_(descriptor) {}
    Descriptor(Descriptor&& other) noexcept
        : files_(other.files_), descriptor_(std::exchange(other.descriptor_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(files_, other.files_);
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (descriptor_ >= 0) {
            files_->close(descriptor_);
        }
    }
    [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
    FileSystem* files_;
    int descriptor_;
};

}  // namespace opforge::cache
