// Contexts: made current for a scope, and the caller's own back afterwards, also after an
// exception.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

namespace opforge::driver {

/// Makes `context` current for a scope (pushes it unless it is current already) and restores the
/// caller's own after it. One thread: made and destroyed on the same. @throws DriverError where
/// CUDA refuses the context.
class OPFORGE_API ScopedContext {
public:
    ScopedContext(const DriverApi& api, ContextHandle context);
    ScopedContext(const ScopedContext&) = delete;
    ScopedContext& operator=(const ScopedContext&) = delete;
    ~ScopedContext();

private:
    const DriverApi* api_;
    bool pushed_ = false;
};

/// The device's primary context, retained once a process and never released: CUDA's runtime shares
/// it, and a release at exit would run after the driver's own teardown. @throws DriverError
[[nodiscard]] OPFORGE_API ContextHandle primary_context(const DriverApi& api, int device_ordinal);

/// Null where the thread has none. @throws DriverError
[[nodiscard]] OPFORGE_API ContextHandle current_context(const DriverApi& api);

}  // namespace opforge::driver
