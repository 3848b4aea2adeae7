// Work of equal pieces on a few threads, for the tools' own measurements.
#pragma once

#include <cstddef>
#include <functional>

namespace opforge::tools {

/// The machine's threads for 0, else the number itself.
[[nodiscard]] int thread_count(int asked) noexcept;

/// Calls `work(0)` to `work(pieces - 1)`, each once, on at most `threads` threads; `work` must not
/// throw.
void for_each_piece(std::size_t pieces, int threads, const std::function<void(std::size_t)>& work);

}  // namespace opforge::tools
