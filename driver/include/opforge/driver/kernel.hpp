// A loaded kernel with its argument list as a type: a wrong list does not compile.
//
//     const Kernel<void(const float*, float*, int)> scale =
//         program->kernel<void(const float*, float*, int)>("scale");
//     scale(over(count), stream, input, output, count);
//
// Any thread may call one. It keeps what it is from loaded. The launch goes to the current context,
// as every launch of CUDA's.
#pragma once

#include <opforge/base/export.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/launch.hpp>

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace opforge::driver {

/// Size and alignment of one parameter of a signature, in bytes.
struct ParameterLayout {
    std::size_t size_bytes = 0;
    std::size_t alignment_bytes = 0;
};

/// Compares a signature with what the driver says of the kernel: how many parameters, of which
/// sizes, at which offsets. True also where the driver can never say (before CUDA 12.4); false
/// where it says nothing because no context is current on this thread: ask again where one is.
/// @throws InvalidArgument naming `label` and the first difference.
[[nodiscard]] OPFORGE_API bool check_parameters(const DriverApi& api, KernelHandle kernel,
                                                std::span<const ParameterLayout> parameters,
                                                const std::string& label);

/// The launch of one thread an element, in blocks of `threads`; at least one block. @throws
/// InvalidArgument for no threads, or more blocks than a grid has (2^31 - 1).
[[nodiscard]] OPFORGE_API LaunchConfig over(std::uint64_t elements, std::uint32_t threads = 256);

/// What may be passed where a kernel takes `To`: what converts to it without loss. An `int` is no
/// `float`, a `long` no `int`.
template <class From, class To>
concept PassesAs = std::convertible_to<From, To> && requires(From&& from) {
    std::type_identity_t<To>{std::forward<From>(from)};
};

template <class Signature>
class Kernel;

/// Parameters are what the device code declares, by value: pointers to device memory, numbers,
/// trivially copyable structs.
template <class... Parameters>
class Kernel<void(Parameters...)> {
    static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                  "a kernel's parameters are copied as bytes: pointers, numbers and plain structs");
    static_assert((!std::is_reference_v<Parameters> && ...),
                  "a kernel takes no references: host addresses mean nothing on the device");

public:
    /// `owner` keeps the library loaded. The signature is checked now where a context is current,
    /// else by the first call. @throws InvalidArgument as check_parameters()
    Kernel(const DriverApi& api, KernelHandle handle, std::string label,
           std::shared_ptr<const void> owner)
        : api_(&api), handle_(handle), label_(std::move(label)), owner_(std::move(owner)) {
        check_signature();
    }

    /// Queues the kernel on `stream` in the current context and returns before the device has run
    /// it. @throws DriverError; InvalidArgument, before anything is queued, as the constructor
    template <class... Arguments>
    requires(sizeof...(Arguments) == sizeof...(Parameters) &&
             (PassesAs<Arguments, Parameters> && ...)) void
    operator()(const LaunchConfig& config, StreamHandle stream, Arguments&&... arguments) const {
        if (!checked_.value.load(std::memory_order_relaxed)) {
            check_signature();
        }
        std::tuple<Parameters...> values{std::forward<Arguments>(arguments)...};
        std::apply(
            [&](auto&... value) {
                // One more than there are: an array of none is no array.
                std::array<void*, sizeof...(Parameters) + 1> addresses = {
                    const_cast<void*>(static_cast<const void*>(&value))..., nullptr};
                launch(*api_, handle_, config, stream, addresses.data(), label_.c_str());
            },
            values);
    }

    [[nodiscard]] KernelHandle handle() const noexcept { return handle_; }
    [[nodiscard]] const DriverApi& api() const noexcept { return *api_; }
    [[nodiscard]] const std::string& label() const noexcept { return label_; }

private:
    // Copied with its kernel; threads may share a kernel that is not checked yet.
    struct Flag {
        mutable std::atomic<bool> value = false;
        Flag() = default;
        Flag(const Flag& other) noexcept : value(other.value.load(std::memory_order_relaxed)) {}
        Flag& operator=(const Flag& other) noexcept {
            value.store(other.value.load(std::memory_order_relaxed), std::memory_order_relaxed);
            return *this;
        }
        ~Flag() = default;
    };

    void check_signature() const {
        constexpr std::array<ParameterLayout, sizeof...(Parameters)> kLayout = {
            ParameterLayout{sizeof(Parameters), alignof(Parameters)}...};
        if (check_parameters(*api_, handle_, kLayout, label_)) {
            checked_.value.store(true, std::memory_order_relaxed);
        }
    }

    const DriverApi* api_;
    KernelHandle handle_;
    std::string label_;
    std::shared_ptr<const void> owner_;
    Flag checked_;
};

}  // namespace opforge::driver
