// Objects of which a process has one.
#pragma once

#include <atomic>
#include <memory>

namespace opforge {

/// Made on first use, never destroyed, and made without a lock: of threads that come at once each
/// makes one, and all but the first to be done are dropped. A function's static variable has a
/// guard that is held while the object is made; a child forked in that moment would wait for it for
/// ever. To be declared constinit.
template <class T>
class ProcessObject {
public:
    constexpr ProcessObject() = default;

    [[nodiscard]] T& get() {
        return get([] { return std::make_unique<T>(); });
    }
    /// @param make gives a std::unique_ptr<T>; may be called although its object is not kept
    template <class Make>
    [[nodiscard]] T& get(Make make) {
        T* ready = object_.load(std::memory_order_acquire);
        if (ready == nullptr) {
            std::unique_ptr<T> made = make();
            if (object_.compare_exchange_strong(ready, made.get(), std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
                ready = made.release();
            }
        }
        return *ready;
    }
    /// Null where nobody has used it yet.
    [[nodiscard]] T* find() const noexcept { return object_.load(std::memory_order_acquire); }

private:
    std::atomic<T*> object_{nullptr};
};

}  // namespace opforge
