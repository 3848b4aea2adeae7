// A little device memory for each stream, kept for as long as the module: blocks of a cooperative
// launch tell each other their ranges through it. A stream runs one launch at a time, so its
// launches share one.
#pragma once

#include <opforge/driver/driver_api.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

namespace opforge::runtime {

class StreamBoards {
public:
    /// memory_pools: whether the device allocates in the order of a stream.
    StreamBoards(const driver::DriverApi& api, bool memory_pools, std::uint64_t size_bytes)
        : api_(&api), memory_pools_(memory_pools), size_bytes_(size_bytes) {}
    StreamBoards(const StreamBoards&) = delete;
    StreamBoards& operator=(const StreamBoards&) = delete;

    struct Board {
        driver::DevicePointer address = 0;
        std::uint32_t tag = 0;  // of the launch's first round; no other round of the board has it
    };
    /// The stream's board and `rounds` tags. After the first time for a stream: one driver call for
    /// its number, and loads. Nothing where there are more streams than boards: use memory of the
    /// call's own then, zeroed, with tag 1. Not inside a capture: a graph may run beside the
    /// stream. The stream's context must be current. @throws DriverError
    [[nodiscard]] std::optional<Board> board(driver::StreamHandle stream, std::uint32_t rounds);

private:
    struct Slot {
        std::atomic<std::uint64_t> stream{0};  // its number plus one
        driver::DevicePointer address = 0;     // written before `stream`
        std::atomic<std::uint64_t> next_tag{0};
    };
    Slot* find(std::uint64_t stream) noexcept;
    Slot* make(std::uint64_t stream_number, driver::StreamHandle stream);
    void clear(driver::DevicePointer address, driver::StreamHandle stream) const;

    const driver::DriverApi* api_;
    bool memory_pools_;
    std::uint64_t size_bytes_;
    std::mutex mutex_;  // guards making slots
    // Memory is never given back: a board's stream may have work under way whenever that would be,
    // and its context may be gone. A few kilobytes each, bounded by the number of slots.
    std::array<Slot, 64> slots_{};
};

}  // namespace opforge::runtime
