#include "memory_copy.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace opforge::bench {
namespace {

void copy_share(std::byte* to, const std::byte* from, std::size_t size_bytes) {
#if defined(__SSE2__)
    constexpr std::size_t kLine = 64;
    while (size_bytes > 0 && reinterpret_cast<std::uintptr_t>(to) % sizeof(__m128i) != 0) {
        *to++ = *from++;
        --size_bytes;
    }
    for (; size_bytes >= kLine; size_bytes -= kLine, to += kLine, from += kLine) {
        const auto* in = reinterpret_cast<const __m128i*>(from);
        auto* out = reinterpret_cast<__m128i*>(to);
        const __m128i a = _mm_loadu_si128(in);
        const __m128i b = _mm_loadu_si128(in + 1);
        const __m128i c = _mm_loadu_si128(in + 2);
        const __m128i d = _mm_loadu_si128(in + 3);
        _mm_stream_si128(out, a);
        _mm_stream_si128(out + 1, b);
        _mm_stream_si128(out + 2, c);
        _mm_stream_si128(out + 3, d);
    }
    _mm_sfence();
#endif
    std::memcpy(to, from, size_bytes);
}

/// Threads that stay from copy to copy and sleep between: what is measured is memory, not starting
/// threads.
class Copiers {
public:
    explicit Copiers(int threads) : threads_(threads) {
        for (int i = 1; i < threads; ++i) {
            helpers_.emplace_back([this, i](const std::stop_token& stop) {
                for (std::uint64_t seen = 0;;) {
                    round_.wait(seen);
                    if (stop.stop_requested()) {
                        return;
                    }
                    seen = round_.load();
                    copy_own(i);
                    if (--left_ == 0) {
                        left_.notify_one();
                    }
                }
            });
        }
    }
    Copiers(const Copiers&) = delete;
    Copiers& operator=(const Copiers&) = delete;
    ~Copiers() {
        for (std::jthread& helper : helpers_) {
            helper.request_stop();
        }
        ++round_;
        round_.notify_all();
    }
    [[nodiscard]] int threads() const { return threads_; }

    void copy(std::byte* to, const std::byte* from, std::size_t size_bytes) {
        to_ = to;
        from_ = from;
        size_bytes_ = size_bytes;
        left_ = threads_ - 1;
        ++round_;
        round_.notify_all();
        copy_own(0);
        for (int left = left_.load(); left != 0; left = left_.load()) {
            left_.wait(left);
        }
    }

private:
    void copy_own(int index) const {
        const auto part = [&](int i) {
            return size_bytes_ / 64 * static_cast<std::size_t>(i) /
                   static_cast<std::size_t>(threads_) * 64;
        };
        const std::size_t begin = part(index);
        const std::size_t end = index + 1 == threads_ ? size_bytes_ : part(index + 1);
        copy_share(to_ + begin, from_ + begin, end - begin);
    }

    int threads_;
    std::byte* to_ = nullptr;
    const std::byte* from_ = nullptr;
    std::size_t size_bytes_ = 0;
    std::atomic<std::uint64_t> round_{0};
    std::atomic<int> left_{0};
    std::vector<std::jthread> helpers_;  // last: they use all the others
};

}  // namespace

void copy_memory(std::byte* to, const std::byte* from, std::size_t size_bytes, int threads) {
    static std::unique_ptr<Copiers> copiers;
    if (!copiers || copiers->threads() != threads) {
        copiers = std::make_unique<Copiers>(threads);
    }
    copiers->copy(to, from, size_bytes);
}

}  // namespace opforge::bench
