#include "dispatch_counters.hpp"

#include <atomic>
#include <cstdlib>
#include <new>
#include <pthread.h>

namespace {

constinit std::atomic<std::uint64_t> allocations{0};
constinit std::atomic<std::uint64_t> locks{0};

}  // namespace

void* operator new(std::size_t size_bytes) {
    ++allocations;
    if (void* const memory = std::malloc(size_bytes != 0 ? size_bytes : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
void* operator new[](std::size_t size_bytes) {
    return operator new(size_bytes);
}
// Those that return null as well: the library's own would not go with the deletes below.
void* operator new(std::size_t size_bytes, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size_bytes != 0 ? size_bytes : 1);
}
void* operator new[](std::size_t size_bytes, const std::nothrow_t& nothrow) noexcept {
    return operator new(size_bytes, nothrow);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

// The linker's names, for --wrap.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier)
int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
    ++locks;
    return __real_pthread_mutex_lock(mutex);
}
int __real_pthread_rwlock_rdlock(pthread_rwlock_t* lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
    ++locks;
    return __real_pthread_rwlock_rdlock(lock);
}
// NOLINTEND(bugprone-reserved-identifier)
}

namespace opforge::test {

HostCosts host_costs() noexcept {
    return {allocations.load(), locks.load()};
}

}  // namespace opforge::test
