// STREAM's copy: the memory's speed, as a copy by all threads reaches it.
#pragma once

#include <cstddef>

namespace opforge::bench {

/// Copies with `threads` threads, each its own contiguous share, past the caches on the way out
/// where the machine has such stores: a store into a cache would first read what it overwrites.
/// The threads are kept from call to call, as an OpenMP program's are. `to` and `from` do not
/// overlap and are 64-byte aligned or do not mind.
void copy_memory(std::byte* to, const std::byte* from, std::size_t size_bytes, int threads);

}  // namespace opforge::bench
