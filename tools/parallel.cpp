#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace opforge::tools {

int thread_count(int asked) noexcept {
    return asked > 0 ? asked : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

void for_each_piece(std::size_t pieces, int threads, const std::function<void(std::size_t)>& work) {
    std::atomic<std::size_t> next{0};
    const auto take_pieces = [&] {
        for (std::size_t piece = next++; piece < pieces; piece = next++) {
            work(piece);
        }
    };
    const auto helpers = std::min(static_cast<std::size_t>(thread_count(threads)), pieces);
    std::vector<std::jthread> others;
    try {
        for (std::size_t i = 1; i < helpers; ++i) {
            others.emplace_back(take_pieces);
        }
    } catch (const std::system_error&) {
        // No more threads to be had (a process limit): those that started, and this one, do the
        // work.
    }
    take_pieces();
}

}  // namespace opforge::tools
