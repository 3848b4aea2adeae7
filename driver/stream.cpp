#include <opforge/driver/errors.hpp>
#include <opforge/driver/stream.hpp>

namespace opforge::driver {

namespace {

// CU_STREAM_DEFAULT: ordered with the default stream, on which the synchronous copies of
// DeviceBuffer run. A non-blocking stream would have to be synchronised by hand around each of
// them.
constexpr unsigned kStreamFlags = 0;
constexpr unsigned kEventFlags = 0;  // CU_EVENT_DEFAULT: keeps the time

}  // namespace

Stream::Stream(const DriverApi& api) : api_(&api) {
    check(api, api.stream_create(&handle_, kStreamFlags), "cuStreamCreate");
}

Stream::~Stream() {
    static_cast<void>(api_->stream_destroy(handle_));
}

void Stream::synchronize() const {
    check(*api_, api_->stream_synchronize(handle_), "cuStreamSynchronize");
}

Event::Event(const DriverApi& api) : api_(&api) {
    check(api, api.event_create(&handle_, kEventFlags), "cuEventCreate");
}

Event::~Event() {
    static_cast<void>(api_->event_destroy(handle_));
}

void Event::record(StreamHandle stream) const {
    check(*api_, api_->event_record(handle_, stream), "cuEventRecord");
}

void Event::synchronize() const {
    check(*api_, api_->event_synchronize(handle_), "cuEventSynchronize");
}

std::chrono::duration<float, std::milli> Event::since(const Event& start) const {
    float milliseconds = 0;
    check(*api_, api_->event_elapsed(&milliseconds, start.handle_, handle_), "cuEventElapsedTime");
    return std::chrono::duration<float, std::milli>(milliseconds);
}

}  // namespace opforge::driver
