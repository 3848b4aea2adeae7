// A loop over independent items, on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace opforge::runtime::host {

/// Calls `body(item)` for every item in [0, items), each once, on at most `threads` threads (0: all
/// cores), the caller's among them. Items are handed out one at a time, so uneven ones balance. The
/// first exception is rethrown at the end.
void parallel_for(std::int64_t items, int threads, const std::function<void(std::int64_t)>& body);

/// How many threads parallel_for uses for 0: the cores this process may run on.
[[nodiscard]] int available_threads() noexcept;

}  // namespace opforge::runtime::host
