#include "stream_boards.hpp"

#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

namespace opforge::runtime {
namespace {

// Tags are 32 bits, and 0 is what a new board holds.
constexpr std::uint64_t kTags = 0xffffffffU;

}  // namespace

std::optional<StreamBoards::Board> StreamBoards::board(driver::StreamHandle stream,
                                                       std::uint32_t rounds) {
    unsigned long long number = 0;
    driver::check(*api_, api_->stream_get_id(stream, &number), "cuStreamGetId");
    Slot* slot = find(number + 1);
    if (slot == nullptr) {
        slot = make(number, stream);
    }
    if (slot == nullptr) {
        return std::nullopt;
    }
    std::uint64_t first = slot->next_tag.fetch_add(rounds, std::memory_order_relaxed);
    if (first / kTags != (first + rounds) / kTags) {
        // The tags begin again: what is left of the last time must not be taken for this one's.
        clear(slot->address, stream);
        first = slot->next_tag.fetch_add(rounds, std::memory_order_relaxed);
    }
    return Board{slot->address, static_cast<std::uint32_t>(first % kTags) + 1};
}

StreamBoards::Slot* StreamBoards::find(std::uint64_t stream) noexcept {
    for (Slot& slot : slots_) {
        const std::uint64_t owner = slot.stream.load(std::memory_order_acquire);
        if (owner == stream) {
            return &slot;
        }
        if (owner == 0) {
            return nullptr;
        }
    }
    return nullptr;
}

StreamBoards::Slot* StreamBoards::make(std::uint64_t stream_number, driver::StreamHandle stream) {
    const std::lock_guard lock(mutex_);
    if (Slot* made = find(stream_number + 1)) {
        return made;
    }
    for (Slot& slot : slots_) {
        if (slot.stream.load(std::memory_order_relaxed) == 0) {
            const int result = memory_pools_
                                   ? api_->memory_allocate_async(&slot.address, size_bytes_, stream)
                                   : api_->memory_allocate(&slot.address, size_bytes_);
            driver::check(*api_, result, memory_pools_ ? "cuMemAllocAsync" : "cuMemAlloc",
                          fmt::format("{} bytes", size_bytes_));
            clear(slot.address, stream);
            slot.stream.store(stream_number + 1, std::memory_order_release);
            return &slot;
        }
    }
    return nullptr;
}

void StreamBoards::clear(driver::DevicePointer address, driver::StreamHandle stream) const {
    driver::check(*api_, api_->fill_async(address, 0, size_bytes_, stream), "cuMemsetD8Async",
                  fmt::format("{} bytes", size_bytes_));
}

}  // namespace opforge::runtime
