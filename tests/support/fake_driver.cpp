#include "fake_driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace opforge::test {

using namespace driver;

namespace {

// CUresult's numbers, those that the fake returns by itself.
constexpr int kSuccess = 0;
constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kNoDevice = 100;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidImage = 200;
constexpr int kInvalidContext = 201;
constexpr int kInvalidHandle = 400;
constexpr int kNotFound = 500;

struct ErrorText {
    int result;
    const char* name;
    const char* text;
};
constexpr std::array<ErrorText, 18> kErrors = {{
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
}};

const ErrorText* find_error(int result) {
    const auto* const found =
        std::find_if(kErrors.begin(), kErrors.end(),
                     [&](const ErrorText& error) { return error.result == result; });
    return found != kErrors.end() ? found : nullptr;
}

int h100_attribute(Attribute attribute) {
    switch (attribute) {
    case Attribute::max_threads_per_block:
        return 1024;
    case Attribute::max_shared_memory_per_block:
        return 49152;
    case Attribute::warp_size:
        return 32;
    case Attribute::multiprocessor_count:
        return 132;
    case Attribute::l2_cache_bytes:
        return 52428800;
    case Attribute::max_threads_per_multiprocessor:
        return 2048;
    case Attribute::max_shared_memory_per_multiprocessor:
        return 233472;
    case Attribute::max_shared_memory_per_block_optin:
        return 232448;
    case Attribute::cooperative_launch:
    case Attribute::memory_pools_supported:
    case Attribute::cluster_launch:
        return 1;
    case Attribute::compute_capability_major:
    case Attribute::compute_capability_minor:
        break;
    }
    return 0;
}

struct Context {
    int device;
    bool primary;
};
struct Stream {
    ContextHandle context;
    unsigned flags;
    unsigned long long id;
};
struct Event {
    ContextHandle context;
    long recorded_at;  // 0: not yet
};
struct Library {
    std::shared_ptr<const Bytes> code;
};
struct Kernel {
    LibraryHandle library;
    std::string name;
    int max_dynamic_shared;
};
struct Planned {
    int nth;
    int times;
    int result;
};

// As aligned as CUDA's, and not larger than asked for: the sanitizers see what lies beyond.
class Allocation {
public:
    explicit Allocation(std::size_t size_bytes)
        : bytes_(static_cast<std::byte*>(::operator new(size_bytes, kAlignment))),
          size_bytes_(size_bytes) {
        std::memset(bytes_.get(), 0xcd, size_bytes);  // not zero: it is not zero on a GPU either
    }
    [[nodiscard]] DevicePointer address() const {
        return static_cast<DevicePointer>(reinterpret_cast<std::uintptr_t>(bytes_.get()));
    }
    [[nodiscard]] std::size_t size() const { return size_bytes_; }

private:
    static constexpr std::align_val_t kAlignment{256};
    struct Free {
        void operator()(std::byte* bytes) const { ::operator delete(bytes, kAlignment); }
    };
    std::unique_ptr<std::byte, Free> bytes_;
    std::size_t size_bytes_;
};

std::byte* pointer_of(DevicePointer address) {
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

}  // namespace

struct FakeDriver::State {
    mutable std::mutex mutex;
    std::vector<FakeDevice> devices;
    int version = 13000;
    int occupancy = 2;
    int clusters = 0x7fffffff;
    std::map<std::string, std::vector<Planned>, std::less<>> planned;
    std::map<std::string, int, std::less<>> always;
    std::vector<std::pair<Bytes, int>> refused;
    std::vector<std::string> kernel_names;
    bool any_kernel = true;
    int capture_status = 0;
    std::map<StreamHandle, int> capture_by_stream;
    std::function<int(const FakeLaunch&)> hook;

    std::vector<FakeCall> calls;
    std::vector<FakeLaunch> launches;
    std::map<ContextHandle, Context> contexts;
    std::map<int, std::pair<ContextHandle, int>> primary;  // device -> context, retains
    std::map<std::thread::id, std::vector<ContextHandle>> stacks;
    unsigned long long streams_made = 0;
    std::map<StreamHandle, Stream> streams;
    std::map<EventHandle, Event> events;
    std::map<LibraryHandle, Library> libraries;
    std::map<KernelHandle, Kernel> kernels;
    std::map<std::string, std::vector<std::size_t>> kernel_parameters;
    struct Function {
        KernelHandle kernel;
        ContextHandle context;
    };
    std::map<FunctionHandle, Function> functions;
    std::map<DevicePointer, Allocation> memory;
    std::size_t memory_bytes = 0;
    long clock = 0;
    std::uintptr_t last_handle = 0x1000;

    template <typename Handle>
    Handle new_handle() {
        last_handle += 16;  // never used twice: what is stale stays recognisable
        return reinterpret_cast<Handle>(last_handle);
    }

    /// Writes the call down. @return the failure that was ordered for it, else success.
    int record(std::string_view function, std::string arguments) {
        calls.push_back({std::string(function), std::move(arguments), std::this_thread::get_id()});
        int result = kSuccess;
        if (const auto found = planned.find(function); found != planned.end()) {
            for (Planned& plan : found->second) {
                --plan.nth;
                if (plan.nth <= 0 && plan.nth > -plan.times) {
                    result = plan.result;
                }
            }
        }
        if (const auto found = always.find(function); found != always.end()) {
            result = found->second;
        }
        return result;
    }

    std::vector<ContextHandle>& stack() { return stacks[std::this_thread::get_id()]; }
    ContextHandle current() {
        const auto& contexts_of_thread = stack();
        return contexts_of_thread.empty() ? nullptr : contexts_of_thread.back();
    }
    [[nodiscard]] bool has_device(int device) const {
        return device >= 0 && static_cast<std::size_t>(device) < devices.size();
    }
    /// Null stream: the current context, which may be none.
    bool stream_context(StreamHandle stream, ContextHandle& context) {
        if (stream == nullptr) {
            context = current();
            return true;
        }
        const auto found = streams.find(stream);
        if (found == streams.end()) {
            return false;
        }
        context = found->second.context;
        return true;
    }
    int check_stream(StreamHandle stream) {
        ContextHandle context = nullptr;
        if (!stream_context(stream, context)) {
            return kInvalidHandle;
        }
        return context == nullptr ? kInvalidContext : kSuccess;
    }
    /// True where all of the range lies in one allocation.
    [[nodiscard]] bool owns(DevicePointer address, std::size_t size_bytes) const {
        auto above = memory.upper_bound(address);
        if (above == memory.begin()) {
            return false;
        }
        const auto& [start, block] = *std::prev(above);
        const std::size_t offset = static_cast<std::size_t>(address - start);
        return offset <= block.size() && size_bytes <= block.size() - offset;
    }
    int allocate(DevicePointer* pointer, std::size_t size_bytes) {
        if (size_bytes == 0) {
            return kInvalidValue;
        }
        const auto device = static_cast<std::size_t>(contexts.at(current()).device);
        if (size_bytes > devices[device].memory_bytes ||
            memory_bytes > devices[device].memory_bytes - size_bytes) {
            return kOutOfMemory;
        }
        Allocation block(size_bytes);
        *pointer = block.address();
        memory_bytes += size_bytes;
        memory.emplace(*pointer, std::move(block));
        return kSuccess;
    }
    int release(DevicePointer pointer) {
        const auto found = memory.find(pointer);
        if (found == memory.end()) {
            return kInvalidValue;
        }
        memory_bytes -= found->second.size();
        memory.erase(found);
        return kSuccess;
    }
};

FakeDriver::FakeDriver(std::vector<FakeDevice> devices) : state_(std::make_unique<State>()) {
    state_->devices = std::move(devices);
}
FakeDriver::~FakeDriver() = default;

void FakeDriver::set_version(int version) {
    const std::lock_guard lock(state_->mutex);
    state_->version = version;
}
void FakeDriver::fail(std::string_view function, int result, int nth, int times) {
    const std::lock_guard lock(state_->mutex);
    state_->planned[std::string(function)].push_back({nth, times, result});
}
void FakeDriver::fail_always(std::string_view function, int result) {
    const std::lock_guard lock(state_->mutex);
    state_->always[std::string(function)] = result;
}
void FakeDriver::refuse_code(Bytes code, int result) {
    const std::lock_guard lock(state_->mutex);
    state_->refused.emplace_back(std::move(code), result);
}
void FakeDriver::set_kernel_names(std::vector<std::string> names) {
    const std::lock_guard lock(state_->mutex);
    state_->any_kernel = false;
    state_->kernel_names = std::move(names);
}
void FakeDriver::set_kernel_parameters(const std::string& kernel,
                                       std::vector<std::size_t> sizes_bytes) {
    const std::lock_guard lock(state_->mutex);
    state_->kernel_parameters[kernel] = std::move(sizes_bytes);
}
void FakeDriver::set_capture_status(StreamHandle stream, int status) {
    const std::lock_guard lock(state_->mutex);
    if (stream == nullptr) {
        state_->capture_status = status;
    } else {
        state_->capture_by_stream[stream] = status;
    }
}
void FakeDriver::set_occupancy_blocks(int blocks) {
    const std::lock_guard lock(state_->mutex);
    state_->occupancy = blocks;
}
void FakeDriver::set_occupancy_clusters(int clusters) {
    const std::lock_guard lock(state_->mutex);
    state_->clusters = clusters;
}
void FakeDriver::on_launch(std::function<int(const FakeLaunch&)> hook) {
    const std::lock_guard lock(state_->mutex);
    state_->hook = std::move(hook);
}

std::vector<FakeCall> FakeDriver::calls() const {
    const std::lock_guard lock(state_->mutex);
    return state_->calls;
}
std::size_t FakeDriver::count(std::string_view function) const {
    const std::lock_guard lock(state_->mutex);
    return static_cast<std::size_t>(
        std::count_if(state_->calls.begin(), state_->calls.end(),
                      [&](const FakeCall& call) { return call.function == function; }));
}
std::size_t FakeDriver::count() const {
    const std::lock_guard lock(state_->mutex);
    return state_->calls.size();
}
std::vector<FakeLaunch> FakeDriver::launches() const {
    const std::lock_guard lock(state_->mutex);
    return state_->launches;
}
void FakeDriver::forget_calls() {
    const std::lock_guard lock(state_->mutex);
    state_->calls.clear();
    state_->launches.clear();
}
FakeOutstanding FakeDriver::outstanding() const {
    const std::lock_guard lock(state_->mutex);
    FakeOutstanding left;
    left.allocations = state_->memory.size();
    left.streams = state_->streams.size();
    left.events = state_->events.size();
    left.libraries = state_->libraries.size();
    left.contexts = static_cast<std::size_t>(
        std::count_if(state_->contexts.begin(), state_->contexts.end(),
                      [](const auto& entry) { return !entry.second.primary; }));
    return left;
}
int FakeDriver::primary_retains(int device) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->primary.find(device);
    return found != state_->primary.end() ? found->second.second : 0;
}
std::vector<ContextHandle> FakeDriver::context_stack() const {
    const std::lock_guard lock(state_->mutex);
    return state_->stack();
}
int FakeDriver::max_dynamic_shared(KernelHandle kernel) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->kernels.find(kernel);
    return found != state_->kernels.end() ? found->second.max_dynamic_shared : 0;
}

int FakeDriver::init() const {
    const std::lock_guard lock(state_->mutex);
    return state_->record("init", "");
}
int FakeDriver::driver_version(int* version) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("driver_version", "")) {
        return failure;
    }
    *version = state_->version;
    return kSuccess;
}
int FakeDriver::error_name(int result, const char** text) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("error_name", fmt::format("result {}", result))) {
        return failure;
    }
    const ErrorText* const error = find_error(result);
    *text = error != nullptr ? error->name : nullptr;
    return error != nullptr ? kSuccess : kInvalidValue;
}
int FakeDriver::error_string(int result, const char** text) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("error_string", fmt::format("result {}", result))) {
        return failure;
    }
    const ErrorText* const error = find_error(result);
    *text = error != nullptr ? error->text : nullptr;
    return error != nullptr ? kSuccess : kInvalidValue;
}

int FakeDriver::device_count(int* count) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("device_count", "")) {
        return failure;
    }
    *count = static_cast<int>(state_->devices.size());
    return state_->devices.empty() ? kNoDevice : kSuccess;
}
int FakeDriver::device_get(int* device, int ordinal) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("device_get", fmt::format("ordinal {}", ordinal))) {
        return failure;
    }
    if (!state_->has_device(ordinal)) {
        return kInvalidDevice;
    }
    *device = ordinal;
    return kSuccess;
}
int FakeDriver::device_name(char* name, int length, int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("device_name", fmt::format("device {}", device))) {
        return failure;
    }
    if (!state_->has_device(device) || length <= 0) {
        return state_->has_device(device) ? kInvalidValue : kInvalidDevice;
    }
    const std::string& text = state_->devices[static_cast<std::size_t>(device)].name;
    const std::size_t copied = std::min(text.size(), static_cast<std::size_t>(length) - 1);
    std::memcpy(name, text.data(), copied);
    name[copied] = '\0';
    return kSuccess;
}
int FakeDriver::device_uuid(unsigned char (&uuid)[16], int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("device_uuid", fmt::format("device {}", device))) {
        return failure;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    for (std::size_t i = 0; i < sizeof uuid; ++i) {
        uuid[i] = static_cast<unsigned char>(i * 16 + static_cast<unsigned>(device));
    }
    return kSuccess;
}
int FakeDriver::device_attribute(int* value, Attribute attribute, int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("device_attribute", fmt::format("attribute {}, device {}",
                                                           static_cast<int>(attribute), device))) {
        return failure;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    const FakeDevice& settings = state_->devices[static_cast<std::size_t>(device)];
    if (const auto found = settings.attributes.find(attribute);
        found != settings.attributes.end()) {
        *value = found->second;
    } else if (attribute == Attribute::compute_capability_major) {
        *value = settings.major;
    } else if (attribute == Attribute::compute_capability_minor) {
        *value = settings.minor;
    } else {
        *value = h100_attribute(attribute);
    }
    return kSuccess;
}
int FakeDriver::device_total_memory(std::size_t* size_bytes, int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("device_total_memory", fmt::format("device {}", device))) {
        return failure;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    *size_bytes = state_->devices[static_cast<std::size_t>(device)].memory_bytes;
    return kSuccess;
}

int FakeDriver::primary_context_retain(ContextHandle* context, int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("primary_context_retain", fmt::format("device {}", device))) {
        return failure;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    auto& [handle, retains] = state_->primary[device];
    if (handle == nullptr) {
        handle = state_->new_handle<ContextHandle>();
        state_->contexts[handle] = {device, true};
    }
    ++retains;
    *context = handle;
    return kSuccess;
}
int FakeDriver::primary_context_release(int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("primary_context_release", fmt::format("device {}", device))) {
        return failure;
    }
    const auto found = state_->primary.find(device);
    if (found == state_->primary.end() || found->second.second == 0) {
        return kInvalidContext;
    }
    --found->second.second;
    return kSuccess;
}
int FakeDriver::context_create(ContextHandle* context, int device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_create", fmt::format("device {}", device))) {
        return failure;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    *context = state_->new_handle<ContextHandle>();
    state_->contexts[*context] = {device, false};
    state_->stack().push_back(*context);  // as CUDA: the new context is current
    return kSuccess;
}
int FakeDriver::context_destroy(ContextHandle context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_destroy", "")) {
        return failure;
    }
    const auto found = state_->contexts.find(context);
    if (found == state_->contexts.end() || found->second.primary) {
        return kInvalidContext;
    }
    state_->contexts.erase(found);
    if (state_->current() == context) {
        state_->stack().pop_back();
    }
    // What lived in it goes with it.
    std::erase_if(state_->streams,
                  [&](const auto& entry) { return entry.second.context == context; });
    std::erase_if(state_->events,
                  [&](const auto& entry) { return entry.second.context == context; });
    return kSuccess;
}
int FakeDriver::context_get_current(ContextHandle* context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_get_current", "")) {
        return failure;
    }
    *context = state_->current();
    return kSuccess;
}
int FakeDriver::context_set_current(ContextHandle context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_set_current", "")) {
        return failure;
    }
    if (context != nullptr && !state_->contexts.contains(context)) {
        return kInvalidContext;
    }
    auto& stack = state_->stack();
    if (!stack.empty()) {
        stack.pop_back();
    }
    if (context != nullptr) {
        stack.push_back(context);
    }
    return kSuccess;
}
int FakeDriver::context_push(ContextHandle context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_push", "")) {
        return failure;
    }
    if (!state_->contexts.contains(context)) {
        return kInvalidContext;
    }
    state_->stack().push_back(context);
    return kSuccess;
}
int FakeDriver::context_pop(ContextHandle* context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_pop", "")) {
        return failure;
    }
    auto& stack = state_->stack();
    if (stack.empty()) {
        return kInvalidContext;
    }
    *context = stack.back();
    stack.pop_back();
    return kSuccess;
}
int FakeDriver::context_get_device(int* device) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_get_device", "")) {
        return failure;
    }
    const ContextHandle context = state_->current();
    if (context == nullptr) {
        return kInvalidContext;
    }
    *device = state_->contexts.at(context).device;
    return kSuccess;
}
int FakeDriver::context_synchronize() const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("context_synchronize", "")) {
        return failure;
    }
    return state_->current() == nullptr ? kInvalidContext : kSuccess;
}

int FakeDriver::stream_create(StreamHandle* stream, unsigned flags) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("stream_create", fmt::format("flags {}", flags))) {
        return failure;
    }
    if (state_->current() == nullptr) {
        return kInvalidContext;
    }
    *stream = state_->new_handle<StreamHandle>();
    state_->streams[*stream] = {state_->current(), flags, ++state_->streams_made};
    return kSuccess;
}
int FakeDriver::stream_destroy(StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("stream_destroy", "")) {
        return failure;
    }
    return state_->streams.erase(stream) == 1 ? kSuccess : kInvalidHandle;
}
int FakeDriver::stream_synchronize(StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("stream_synchronize", stream == nullptr ? "null" : "")) {
        return failure;
    }
    return state_->check_stream(stream);
}
int FakeDriver::stream_get_context(StreamHandle stream, ContextHandle* context) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("stream_get_context", stream == nullptr ? "null" : "")) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    state_->stream_context(stream, *context);
    return kSuccess;
}
int FakeDriver::stream_get_id(StreamHandle stream, unsigned long long* id) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("stream_get_id", stream == nullptr ? "null" : "")) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    const auto found = state_->streams.find(stream);
    *id = found != state_->streams.end() ? found->second.id : 0;
    return kSuccess;
}
int FakeDriver::stream_is_capturing(StreamHandle stream, int* status) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("stream_is_capturing", stream == nullptr ? "null" : "")) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    const auto found = state_->capture_by_stream.find(stream);
    *status = found != state_->capture_by_stream.end() ? found->second : state_->capture_status;
    return kSuccess;
}

int FakeDriver::event_create(EventHandle* event, unsigned flags) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("event_create", fmt::format("flags {}", flags))) {
        return failure;
    }
    if (state_->current() == nullptr) {
        return kInvalidContext;
    }
    *event = state_->new_handle<EventHandle>();
    state_->events[*event] = {state_->current(), 0};
    return kSuccess;
}
int FakeDriver::event_destroy(EventHandle event) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("event_destroy", "")) {
        return failure;
    }
    return state_->events.erase(event) == 1 ? kSuccess : kInvalidHandle;
}
int FakeDriver::event_record(EventHandle event, StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("event_record", stream == nullptr ? "null" : "")) {
        return failure;
    }
    const auto found = state_->events.find(event);
    ContextHandle context = nullptr;
    if (found == state_->events.end() || !state_->stream_context(stream, context) ||
        context != found->second.context) {
        return kInvalidHandle;
    }
    found->second.recorded_at = ++state_->clock;
    return kSuccess;
}
int FakeDriver::event_synchronize(EventHandle event) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("event_synchronize", "")) {
        return failure;
    }
    return state_->events.contains(event) ? kSuccess : kInvalidHandle;
}
int FakeDriver::event_elapsed(float* milliseconds, EventHandle start, EventHandle end) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("event_elapsed", "")) {
        return failure;
    }
    const auto from = state_->events.find(start);
    const auto to = state_->events.find(end);
    if (from == state_->events.end() || to == state_->events.end() ||
        from->second.recorded_at == 0 || to->second.recorded_at == 0) {
        return kInvalidHandle;
    }
    *milliseconds = static_cast<float>(to->second.recorded_at - from->second.recorded_at);
    return kSuccess;
}

int FakeDriver::library_load(LibraryHandle* library, std::span<const std::byte> code) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("library_load", fmt::format("{} bytes", code.size()))) {
        return failure;
    }
    if (code.empty()) {
        return kInvalidImage;
    }
    for (const auto& [bytes, result] : state_->refused) {
        if (std::equal(bytes.begin(), bytes.end(), code.begin(), code.end())) {
            return result;
        }
    }
    *library = state_->new_handle<LibraryHandle>();
    state_->libraries[*library] = {std::make_shared<const Bytes>(code.begin(), code.end())};
    return kSuccess;
}
int FakeDriver::library_unload(LibraryHandle library) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("library_unload", "")) {
        return failure;
    }
    if (state_->libraries.erase(library) == 0) {
        return kInvalidHandle;
    }
    std::erase_if(state_->kernels,
                  [&](const auto& entry) { return entry.second.library == library; });
    std::erase_if(state_->functions, [&](const auto& entry) {
        return !state_->kernels.contains(entry.second.kernel);
    });
    return kSuccess;
}
int FakeDriver::library_get_kernel(KernelHandle* kernel, LibraryHandle library,
                                   const char* name) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("library_get_kernel", name)) {
        return failure;
    }
    if (!state_->libraries.contains(library)) {
        return kInvalidHandle;
    }
    const auto& names = state_->kernel_names;
    if (!state_->any_kernel && std::find(names.begin(), names.end(), name) == names.end()) {
        return kNotFound;
    }
    for (const auto& [handle, known] : state_->kernels) {
        if (known.library == library && known.name == name) {
            *kernel = handle;
            return kSuccess;
        }
    }
    *kernel = state_->new_handle<KernelHandle>();
    state_->kernels[*kernel] = {library, name, 0};
    return kSuccess;
}
int FakeDriver::kernel_get_function(FunctionHandle* function, KernelHandle kernel) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("kernel_get_function", "")) {
        return failure;
    }
    if (!state_->kernels.contains(kernel)) {
        return kInvalidHandle;
    }
    if (state_->current() == nullptr) {
        return kInvalidContext;
    }
    *function = state_->new_handle<FunctionHandle>();
    state_->functions[*function] = {kernel, state_->current()};
    return kSuccess;
}
int FakeDriver::kernel_parameter(KernelHandle kernel, std::size_t index, std::size_t* offset_bytes,
                                 std::size_t* size_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("kernel_parameter", fmt::format("{}", index))) {
        return failure;
    }
    if (state_->current() == nullptr) {
        return 201;  // CUDA_ERROR_INVALID_CONTEXT, as the driver of CUDA 13.0
    }
    const auto known = state_->kernels.find(kernel);
    if (known == state_->kernels.end()) {
        return kInvalidHandle;
    }
    const auto sizes = state_->kernel_parameters.find(known->second.name);
    if (sizes == state_->kernel_parameters.end()) {
        return 801;  // CUDA_ERROR_NOT_SUPPORTED
    }
    if (index >= sizes->second.size()) {
        return 1;  // CUDA_ERROR_INVALID_VALUE
    }
    std::size_t offset = 0;
    for (std::size_t i = 0; i <= index; ++i) {
        const std::size_t alignment = std::min<std::size_t>(sizes->second[i], 8);
        offset = (offset + alignment - 1) / alignment * alignment;
        *offset_bytes = offset;
        offset += sizes->second[i];
    }
    *size_bytes = sizes->second[index];
    return kSuccess;
}
int FakeDriver::kernel_set_max_dynamic_shared(KernelHandle kernel, int device,
                                              int size_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("kernel_set_max_dynamic_shared",
                           fmt::format("device {}, {} bytes", device, size_bytes))) {
        return failure;
    }
    const auto found = state_->kernels.find(kernel);
    if (found == state_->kernels.end()) {
        return kInvalidHandle;
    }
    if (!state_->has_device(device)) {
        return kInvalidDevice;
    }
    found->second.max_dynamic_shared = size_bytes;
    return kSuccess;
}
int FakeDriver::occupancy_blocks(int* blocks, FunctionHandle function, int block_threads,
                                 std::size_t dynamic_shared_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("occupancy_blocks", fmt::format("{} threads, {} bytes", block_threads,
                                                           dynamic_shared_bytes))) {
        return failure;
    }
    if (!state_->functions.contains(function)) {
        return kInvalidHandle;
    }
    *blocks = state_->occupancy;
    return kSuccess;
}

int FakeDriver::occupancy_clusters(int* clusters, FunctionHandle function,
                                   const LaunchConfig& config) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record(
            "occupancy_clusters", fmt::format("{} threads, {} bytes, cluster {}", config.block_x,
                                              config.shared_bytes, config.cluster_x))) {
        return failure;
    }
    // A kernel may stand for its function in the current context.
    if (!state_->functions.contains(function) &&
        !state_->kernels.contains(reinterpret_cast<KernelHandle>(function))) {
        return kInvalidHandle;
    }
    *clusters = state_->clusters;
    return kSuccess;
}

int FakeDriver::launch(KernelHandle kernel, const LaunchConfig& config, StreamHandle stream,
                       void** arguments) const {
    FakeLaunch launch;
    std::function<int(const FakeLaunch&)> hook;
    {
        const std::lock_guard lock(state_->mutex);
        // driver::as_kernel: a function may stand for its kernel, in its own context.
        const auto function = state_->functions.find(reinterpret_cast<FunctionHandle>(kernel));
        const bool is_function = function != state_->functions.end();
        const auto found = state_->kernels.find(is_function ? function->second.kernel : kernel);
        const std::string name = found != state_->kernels.end() ? found->second.name : "unknown";
        if (const int failure = state_->record("launch", name)) {
            return failure;
        }
        if (found == state_->kernels.end() ||
            (is_function && function->second.context != state_->current())) {
            return kInvalidHandle;
        }
        if (const int failure = state_->check_stream(stream)) {
            return failure;
        }
        const std::uint64_t threads =
            std::uint64_t{config.block_x} * config.block_y * config.block_z;
        if (config.grid_x == 0 || config.grid_y == 0 || config.grid_z == 0 || threads == 0 ||
            threads > 1024 || config.grid_x > 0x7fffffffU || config.grid_y > 0xffffU ||
            config.grid_z > 0xffffU) {
            return kInvalidValue;
        }
        launch.kernel = name;
        launch.of_function = is_function;
        launch.code = state_->libraries.at(found->second.library).code;
        launch.config = config;
        launch.stream = stream;
        state_->stream_context(stream, launch.context);
        launch.current = state_->current();
        launch.arguments = arguments;
        hook = state_->hook;
    }
    if (hook) {
        if (const int failure = hook(launch)) {
            return failure;
        }
    }
    launch.arguments = nullptr;
    const std::lock_guard lock(state_->mutex);
    state_->launches.push_back(std::move(launch));
    return kSuccess;
}

int FakeDriver::memory_allocate(DevicePointer* pointer, std::size_t size_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("memory_allocate", fmt::format("{} bytes", size_bytes))) {
        return failure;
    }
    return state_->current() == nullptr ? kInvalidContext : state_->allocate(pointer, size_bytes);
}
int FakeDriver::memory_free(DevicePointer pointer) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("memory_free", "")) {
        return failure;
    }
    return state_->release(pointer);
}
int FakeDriver::memory_allocate_async(DevicePointer* pointer, std::size_t size_bytes,
                                      StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("memory_allocate_async", fmt::format("{} bytes", size_bytes))) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    return state_->current() == nullptr ? kInvalidContext : state_->allocate(pointer, size_bytes);
}
int FakeDriver::memory_free_async(DevicePointer pointer, StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("memory_free_async", "")) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    return state_->release(pointer);
}
int FakeDriver::copy_to_device(DevicePointer to, const void* from, std::size_t size_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("copy_to_device", fmt::format("{} bytes", size_bytes))) {
        return failure;
    }
    if (!state_->owns(to, size_bytes)) {
        return kInvalidValue;
    }
    std::memcpy(pointer_of(to), from, size_bytes);
    return kSuccess;
}
int FakeDriver::copy_to_host(void* to, DevicePointer from, std::size_t size_bytes) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure = state_->record("copy_to_host", fmt::format("{} bytes", size_bytes))) {
        return failure;
    }
    if (!state_->owns(from, size_bytes)) {
        return kInvalidValue;
    }
    std::memcpy(to, pointer_of(from), size_bytes);
    return kSuccess;
}
int FakeDriver::copy_device_async(DevicePointer to, DevicePointer from, std::size_t size_bytes,
                                  StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("copy_device_async", fmt::format("{} bytes", size_bytes))) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    if (!state_->owns(to, size_bytes) || !state_->owns(from, size_bytes)) {
        return kInvalidValue;
    }
    std::memmove(pointer_of(to), pointer_of(from), size_bytes);
    return kSuccess;
}
int FakeDriver::fill_async(DevicePointer to, unsigned char value, std::size_t size_bytes,
                           StreamHandle stream) const {
    const std::lock_guard lock(state_->mutex);
    if (const int failure =
            state_->record("fill_async", fmt::format("value {}, {} bytes", value, size_bytes))) {
        return failure;
    }
    if (const int failure = state_->check_stream(stream)) {
        return failure;
    }
    if (!state_->owns(to, size_bytes)) {
        return kInvalidValue;
    }
    std::memset(pointer_of(to), value, size_bytes);
    return kSuccess;
}

}  // namespace opforge::test
