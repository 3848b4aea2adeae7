#include "primary_contexts.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

#include <atomic>
#include <memory>

namespace opforge::driver {

namespace {

// A list that only grows, without a lock: a lookup is a few loads on the path of every call, and a
// process forked while another thread held a lock would find it held for ever. Entries are a
// handful a process and never freed.
struct PrimaryContext {
    std::atomic<const DriverApi*> api;  // null: forgotten
    int ordinal;
    ContextHandle context;
    PrimaryContext* next;
};

std::atomic<PrimaryContext*>& primary_contexts() noexcept {
    static constinit std::atomic<PrimaryContext*> head{nullptr};
    return head;
}

const PrimaryContext* find(PrimaryContext* from, const DriverApi* api, int ordinal) noexcept {
    for (PrimaryContext* entry = from; entry != nullptr; entry = entry->next) {
        if (entry->ordinal == ordinal && entry->api.load(std::memory_order_acquire) == api) {
            return entry;
        }
    }
    return nullptr;
}

}  // namespace

void forget_primary_contexts(const DriverApi* api) noexcept {
    PrimaryContext* entry = primary_contexts().load(std::memory_order_acquire);
    for (; entry != nullptr; entry = entry->next) {
        const DriverApi* expected = api;
        entry->api.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel);
    }
}

ContextHandle primary_context(const DriverApi& api, int device_ordinal) {
    PrimaryContext* head = primary_contexts().load(std::memory_order_acquire);
    if (const PrimaryContext* known = find(head, &api, device_ordinal)) {
        return known->context;
    }
    const std::string subject = fmt::format("device {}", device_ordinal);
    int device = 0;
    check(api, api.device_get(&device, device_ordinal), "cuDeviceGet", subject);
    ContextHandle context = nullptr;
    check(api, api.primary_context_retain(&context, device), "cuDevicePrimaryCtxRetain", subject);
    auto entry = std::make_unique<PrimaryContext>();
    entry->api.store(&api, std::memory_order_relaxed);
    entry->ordinal = device_ordinal;
    entry->context = context;
    do {
        // Another thread may have been here meanwhile: its retain stands and ours is given back.
        if (const PrimaryContext* other = find(head, &api, device_ordinal)) {
            api.primary_context_release(device);
            return other->context;
        }
        entry->next = head;
    } while (!primary_contexts().compare_exchange_weak(head, entry.get(), std::memory_order_acq_rel,
                                                       std::memory_order_acquire));
    return entry.release()->context;
}

ContextHandle current_context(const DriverApi& api) {
    ContextHandle context = nullptr;
    check(api, api.context_get_current(&context), "cuCtxGetCurrent");
    return context;
}

ScopedContext::ScopedContext(const DriverApi& api, ContextHandle context) : api_(&api) {
    // The common case, a caller whose context is current already, costs one query and no push. A
    // null context goes to CUDA, for its error.
    if (context == nullptr || current_context(api) != context) {
        check(api, api.context_push(context), "cuCtxPushCurrent");
        pushed_ = true;
    }
}

ScopedContext::~ScopedContext() {
    if (pushed_) {
        // Fails only where the driver is gone altogether (at exit, in a forked child): nothing is
        // left to restore.
        ContextHandle popped = nullptr;
        static_cast<void>(api_->context_pop(&popped));
    }
}

}  // namespace opforge::driver
