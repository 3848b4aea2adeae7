// CUDA graphs as a host program makes them: opforge itself has no part in capturing.
#pragma once

#include <opforge/base/dynamic_library.hpp>
#include <opforge/driver/driver_api.hpp>

#include <catch2/catch.hpp>

#include <cuda.h>

#include <functional>

namespace opforge::test {

/// What `work` queues on the stream, as an executable graph. Throws on what `work` throws, with the
/// capture ended. On the real driver alone.
class CapturedGraph {
public:
    CapturedGraph(driver::StreamHandle stream, const std::function<void()>& work)
        : library_(driver::driver_state().library) {
        library_.leak();
        require(symbol<decltype(&cuStreamBeginCapture)>("cuStreamBeginCapture_v2")(
            stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        const auto end = symbol<decltype(&cuStreamEndCapture)>("cuStreamEndCapture");
        try {
            work();
        } catch (...) {
            ended_whole_ = end(stream, &graph_) == CUDA_SUCCESS && graph_ != nullptr;
            destroy();
            REQUIRE(ended_whole_);  // what failed did not break the capture
            throw;
        }
        require(end(stream, &graph_));
        require(symbol<decltype(&cuGraphInstantiateWithFlags)>("cuGraphInstantiateWithFlags")(
            &executable_, graph_, 0));
    }
    CapturedGraph(const CapturedGraph&) = delete;
    CapturedGraph& operator=(const CapturedGraph&) = delete;
    ~CapturedGraph() { destroy(); }

    void launch(driver::StreamHandle stream) const {
        require(symbol<decltype(&cuGraphLaunch)>("cuGraphLaunch")(executable_, stream));
    }

private:
    template <class Function>
    [[nodiscard]] Function symbol(const char* name) const {
        void* const address = library_.symbol(name);
        REQUIRE(address != nullptr);
        return reinterpret_cast<Function>(address);
    }
    static void require(CUresult result) { REQUIRE(result == CUDA_SUCCESS); }
    void destroy() {
        if (executable_ != nullptr) {
            symbol<decltype(&cuGraphExecDestroy)>("cuGraphExecDestroy")(executable_);
        }
        if (graph_ != nullptr) {
            symbol<decltype(&cuGraphDestroy)>("cuGraphDestroy")(graph_);
        }
    }

    DynamicLibrary library_;
    bool ended_whole_ = true;
    CUgraph graph_ = nullptr;
    CUgraphExec executable_ = nullptr;
};

}  // namespace opforge::test
