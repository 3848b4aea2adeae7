// CUDA's handles, declared and not defined: opforge's public headers compile without a CUDA
// toolkit.
#pragma once

struct CUctx_st;
struct CUevent_st;
struct CUfunc_st;
struct CUgraph_st;
struct CUkern_st;
struct CUlib_st;
struct CUstream_st;

namespace opforge::driver {

using ContextHandle = CUctx_st*;
using EventHandle = CUevent_st*;
using FunctionHandle = CUfunc_st*;
using KernelHandle = CUkern_st*;
using LibraryHandle = CUlib_st*;
using StreamHandle = CUstream_st*;  // null: the current context's default stream
using DevicePointer = unsigned long long;

}  // namespace opforge::driver
