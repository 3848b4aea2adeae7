#include "flights.hpp"

#include <utility>

namespace opforge::cache {

void Landing::report(Report report) {
    {
        const std::lock_guard lock(mutex_);
        report_ = std::move(report);
    }
    arrival_.notify_all();
}

Landing::Report Landing::wait() {
    std::unique_lock lock(mutex_);
    arrival_.wait(lock, [this] { return report_.has_value(); });
    return *report_;
}

Flights::Boarding Flights::join(const Digest& key) {
    const std::uint64_t generation = fork_generation();
    const std::lock_guard lock(mutex_);
    const auto found = in_air_.find(key);
    if (found != in_air_.end() && found->second.generation == generation) {
        return {found->second.landing, nullptr};
    }
    std::unique_ptr<Flight> own(new Flight(*this, key));
    try {
        in_air_.insert_or_assign(key, InAir{own->landing_, generation});
    } catch (...) {
        own->over_ = true;  // it never took off, and must not look for itself under the lock
        throw;
    }
    return {nullptr, std::move(own)};
}

void Flights::forget(const Digest& key, const Landing& landing) {
    const std::lock_guard lock(mutex_);
    const auto found = in_air_.find(key);
    if (found != in_air_.end() && found->second.landing.get() == &landing) {
        in_air_.erase(found);
    }
}

// First the slot, then the waiters: whoever is woken by a failure and calls again finds it free.
void Flights::Flight::end(Landing::Report report) {
    over_ = true;
    flights_.forget(key_, *landing_);
    landing_->report(std::move(report));
}

void Flights::Flight::land(std::shared_ptr<const Entry> entry) {
    end({Landing::Outcome::landed, std::move(entry), nullptr});
}

void Flights::Flight::crash(std::exception_ptr error) {
    // pthread_cancel unwinds with something that no exception_ptr holds.
    const auto outcome = error ? Landing::Outcome::crashed : Landing::Outcome::lost;
    end({outcome, nullptr, std::move(error)});
}

Flights::Flight::~Flight() {
    if (!over_) {
        end({});
    }
}

}  // namespace opforge::cache
