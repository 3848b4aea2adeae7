// Memory that a test shares with the processes it forks, and that outlives their kills.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <sys/mman.h>

namespace opforge::test {

/// So many values of T, each as T{} at first: atomics and plain bytes, which nobody has to destroy.
template <class T>
class SharedMemory {
public:
    /// @throws std::bad_alloc
    explicit SharedMemory(std::size_t count = 1) : size_bytes_(count * sizeof(T)) {
        memory_ =
            ::mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) {
            throw std::bad_alloc();
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::construct_at(&at(i));
        }
    }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory() { ::munmap(memory_, size_bytes_); }

    [[nodiscard]] T& at(std::size_t i) const { return static_cast<T*>(memory_)[i]; }
    [[nodiscard]] T& operator*() const { return at(0); }

private:
    void* memory_ = nullptr;
    std::size_t size_bytes_;
};

}  // namespace opforge::test
