// Streams and events of opforge's own (callers' streams come in as plain handles), RAII. The
// context that is current when they are made must still exist when they are destroyed.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

#include <chrono>

namespace opforge::driver {

class OPFORGE_API Stream {
public:
    explicit Stream(const DriverApi& api);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream();
    [[nodiscard]] StreamHandle handle() const noexcept { return handle_; }
    void synchronize() const;

private:
    const DriverApi* api_;
    StreamHandle handle_ = nullptr;
};

class OPFORGE_API Event {
public:
    explicit Event(const DriverApi& api);
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event();
    [[nodiscard]] EventHandle handle() const noexcept { return handle_; }
    void record(StreamHandle stream) const;
    void synchronize() const;
    /// Device time from `start` to this event; both must have been recorded and reached.
    [[nodiscard]] std::chrono::duration<float, std::milli> since(const Event& start) const;

private:
    const DriverApi* api_;
    EventHandle handle_ = nullptr;
};

}  // namespace opforge::driver
