// A libcuda.so that computes nothing and writes down each call with its arguments: real_driver.cpp
// is checked against it without a GPU. Its cuda.h is the real one, so a wrong signature does not
// compile.
//   FAKE_CUDA_VERSION, FAKE_CUDA_INIT   environment: what cuDriverGetVersion says, what cuInit
//   returns FAKE_CUDA_OLD                       built without the entry points that came with CUDA
//   12
#include <cuda.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <utility>

// The names that a program linked against an older driver uses; cuda.h maps them to newer ones.
#undef cuEventElapsedTime
#undef cuCtxGetDevice

namespace {

std::string& text() {
    static std::string log;
    return log;
}

template <typename... Values>
CUresult note(const char* function, const Values&... values) {
    std::ostringstream line;
    line << function;
    ((line << ' ' << values), ...);
    text() += line.str() + "\n";
    return CUDA_SUCCESS;
}

int setting(const char* name, int otherwise) {
    const char* const value = std::getenv(name);
    return value != nullptr ? std::atoi(value) : otherwise;
}

template <typename Handle>
Handle handle(std::uintptr_t number) {
    return reinterpret_cast<Handle>(number);
}
template <typename Pointer>
std::uintptr_t number(Pointer pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

}  // namespace

extern "C" {

const char* fake_cuda_take_log() {
    static std::string taken;
    taken = std::exchange(text(), {});
    return taken.c_str();
}

CUresult cuInit(unsigned flags) {
    note("cuInit", flags);
    return static_cast<CUresult>(setting("FAKE_CUDA_INIT", 0));
}
CUresult cuDriverGetVersion(int* version) {
    *version = setting("FAKE_CUDA_VERSION", 12020);
    return note("cuDriverGetVersion");
}
CUresult cuGetErrorName(CUresult result, const char** name) {
    *name = result == CUDA_ERROR_NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_NOT_INITIALIZED";
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult result, const char** words) {
    *words = result == CUDA_ERROR_NO_DEVICE ? "no CUDA-capable device is detected"
                                            : "initialization error";
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
    *count = 3;
    return note("cuDeviceGetCount");
}
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    *device = ordinal + 100;
    return note("cuDeviceGet", ordinal);
}
CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    std::strncpy(name, "Fake", static_cast<std::size_t>(length));
    return note("cuDeviceGetName", length, device);
}
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    std::memset(uuid, 0xab, sizeof *uuid);
    return note("cuDeviceGetUuid_v2", device);
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    *value = 7;
    return note("cuDeviceGetAttribute", static_cast<int>(attribute), device);
}
CUresult cuDeviceTotalMem_v2(std::size_t* size, CUdevice device) {
    *size = 1000;
    return note("cuDeviceTotalMem_v2", device);
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    *context = handle<CUcontext>(0x10);
    return note("cuDevicePrimaryCtxRetain", device);
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    return note("cuDevicePrimaryCtxRelease_v2", device);
}
CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
    *context = handle<CUcontext>(0x20);
    return note("cuCtxCreate_v2", flags, device);
}
CUresult cuCtxDestroy_v2(CUcontext context) {
    return note("cuCtxDestroy_v2", number(context));
}
CUresult cuCtxGetCurrent(CUcontext* context) {
    *context = handle<CUcontext>(0x30);
    return note("cuCtxGetCurrent");
}
CUresult cuCtxSetCurrent(CUcontext context) {
    return note("cuCtxSetCurrent", number(context));
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
    return note("cuCtxPushCurrent_v2", number(context));
}
CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    *context = handle<CUcontext>(0x40);
    return note("cuCtxPopCurrent_v2");
}
CUresult cuCtxGetDevice(CUdevice* device) {
    *device = 5;
    return note("cuCtxGetDevice");
}
CUresult cuCtxSynchronize() {
    return note("cuCtxSynchronize");
}
CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    *stream = handle<CUstream>(0x50);
    return note("cuStreamCreate", flags);
}
CUresult cuStreamDestroy_v2(CUstream stream) {
    return note("cuStreamDestroy_v2", number(stream));
}
CUresult cuStreamSynchronize(CUstream stream) {
    return note("cuStreamSynchronize", number(stream));
}
CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
    *context = handle<CUcontext>(0x60);
    return note("cuStreamGetCtx", number(stream));
}
CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
    *id = 7;
    return note("cuStreamGetId", number(stream));
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    *status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    return note("cuStreamIsCapturing", number(stream));
}
CUresult cuEventCreate(CUevent* event, unsigned flags) {
    *event = handle<CUevent>(0x70);
    return note("cuEventCreate", flags);
}
CUresult cuEventDestroy_v2(CUevent event) {
    return note("cuEventDestroy_v2", number(event));
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
    return note("cuEventRecord", number(event), number(stream));
}
CUresult cuEventSynchronize(CUevent event) {
    return note("cuEventSynchronize", number(event));
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    *milliseconds = 2.5F;
    return note("cuEventElapsedTime", number(start), number(end));
}
#ifndef FAKE_CUDA_OLD
CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option*, void**,
                           unsigned jit_options, CUlibraryOption*, void**, unsigned options) {
    *library = handle<CUlibrary>(0x80);
    const auto* const words =
        static_cast<const char*>(code);  // reads up to the zero byte, as CUDA does with PTX
    return note("cuLibraryLoadData", words[0] == 0x7f ? "elf" : words, jit_options, options);
}
CUresult cuLibraryUnload(CUlibrary library) {
    return note("cuLibraryUnload", number(library));
}
CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
    *kernel = handle<CUkernel>(0x90);
    return note("cuLibraryGetKernel", number(library), name);
}
CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
    *function = handle<CUfunction>(0xa0);
    return note("cuKernelGetFunction", number(kernel));
}
CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset, size_t* size) {
    *offset = 8 * index;
    *size = 4;
    return note("cuKernelGetParamInfo", number(kernel), index);
}
CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel,
                              CUdevice device) {
    return note("cuKernelSetAttribute", static_cast<int>(attribute), value, number(kernel), device);
}
#endif
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int threads,
                                                     std::size_t shared) {
    *blocks = 4;
    return note("cuOccupancyMaxActiveBlocksPerMultiprocessor", number(function), threads, shared);
}
CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction function,
                                      const CUlaunchConfig* config) {
    *clusters = 98;
    return note("cuOccupancyMaxActiveClusters", number(function), config->blockDimX,
                config->sharedMemBytes, config->attrs[0].value.clusterDim.x);
}
CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream,
                        void** arguments, void** extra) {
    return note("cuLaunchKernel", number(function), gx, gy, gz, bx, by, bz, shared, number(stream),
                *static_cast<int*>(arguments[0]), number(extra));
}
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments,
                          void** extra) {
    std::ostringstream attributes;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
        const CUlaunchAttribute& attribute = config->attrs[i];
        attributes << (i == 0 ? "" : " ");
        if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
            attributes << "cooperative=" << attribute.value.cooperative;
        } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            attributes << "cluster=" << attribute.value.clusterDim.x << 'x'
                       << attribute.value.clusterDim.y << 'x' << attribute.value.clusterDim.z;
        }
    }
    return note("cuLaunchKernelEx", number(function), config->gridDimX, config->gridDimY,
                config->gridDimZ, config->blockDimX, config->blockDimY, config->blockDimZ,
                config->sharedMemBytes, number(config->hStream), *static_cast<int*>(arguments[0]),
                number(extra), attributes.str());
}
CUresult cuMemAlloc_v2(CUdeviceptr* pointer, std::size_t size) {
    *pointer = 0xb0;
    return note("cuMemAlloc_v2", size);
}
CUresult cuMemFree_v2(CUdeviceptr pointer) {
    return note("cuMemFree_v2", pointer);
}
CUresult cuMemAllocAsync(CUdeviceptr* pointer, std::size_t size, CUstream stream) {
    *pointer = 0xc0;
    return note("cuMemAllocAsync", size, number(stream));
}
CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
    return note("cuMemFreeAsync", pointer, number(stream));
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t size) {
    return note("cuMemcpyHtoD_v2", to, number(from), size);
}
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t size) {
    return note("cuMemcpyDtoH_v2", number(to), from, size);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t size, CUstream stream) {
    return note("cuMemcpyDtoDAsync_v2", to, from, size, number(stream));
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t size, CUstream stream) {
    return note("cuMemsetD8Async", to, static_cast<int>(value), size, number(stream));
}

}  // extern "C"
