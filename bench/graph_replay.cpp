#include "graph_replay.hpp"

#include "raw_cuda.hpp"

#include <cuda.h>

namespace opforge::bench {
namespace {

constexpr int kLaunches = 64;  // so many that the replay's own launch hardly counts
constexpr int kWarmUps = 3;

/// The driver's calls on graphs, which opforge itself makes none of.
struct GraphCalls {
    RawLibrary cuda{"libcuda.so.1"};
    decltype(&cuStreamBeginCapture) begin =
        cuda.function<decltype(&cuStreamBeginCapture)>("cuStreamBeginCapture_v2");
    decltype(&cuStreamEndCapture) end =
        cuda.function<decltype(&cuStreamEndCapture)>("cuStreamEndCapture");
    CUresult (*instantiate)(CUgraphExec*, CUgraph, unsigned long long) =
        cuda.function<CUresult (*)(CUgraphExec*, CUgraph, unsigned long long)>(
            "cuGraphInstantiateWithFlags");
    decltype(&cuGraphLaunch) launch = cuda.function<decltype(&cuGraphLaunch)>("cuGraphLaunch");
    decltype(&cuGraphDestroy) destroy = cuda.function<decltype(&cuGraphDestroy)>("cuGraphDestroy");
    decltype(&cuGraphExecDestroy) destroy_executable =
        cuda.function<decltype(&cuGraphExecDestroy)>("cuGraphExecDestroy");
};

const GraphCalls& graph_calls() {
    static const GraphCalls calls;
    return calls;
}

/// kLaunches times what `act` queues on the stream.
class CapturedGraph {
public:
    CapturedGraph(CUstream stream, const std::function<void()>& act) : stream_(stream) {
        const GraphCalls& cuda = graph_calls();
        require(cuda.begin(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
        CUgraph graph = nullptr;
        try {
            for (int i = 0; i < kLaunches; ++i) {
                act();
            }
        } catch (...) {
            if (cuda.end(stream, &graph) == CUDA_SUCCESS && graph != nullptr) {
                cuda.destroy(graph);
            }
            throw;
        }
        require(cuda.end(stream, &graph), "cuStreamEndCapture");
        const CUresult made = cuda.instantiate(&executable_, graph, 0);
        cuda.destroy(graph);
        require(made, "cuGraphInstantiateWithFlags");
    }
    CapturedGraph(const CapturedGraph&) = delete;
    CapturedGraph& operator=(const CapturedGraph&) = delete;
    ~CapturedGraph() { graph_calls().destroy_executable(executable_); }

    void operator()() const {
        require(graph_calls().launch(executable_, stream_), "cuGraphLaunch");
    }

private:
    CUstream stream_;
    CUgraphExec executable_ = nullptr;
};

}  // namespace

nlohmann::json measure_replay(KernelTiming& timing, const Cell& cell, int rounds) {
    // The first use loads the kernel and may compile it, which a capture forbids.
    static_cast<void>(timing.time([&] { cell.run(timing.memory(), timing.stream()); }));
    const CapturedGraph op(timing.stream(), [&] { cell.run(timing.memory(), timing.stream()); });
    const CapturedGraph copy(timing.stream(), [&] { timing.copy(cell.bytes); });
    std::vector<double> op_times;
    std::vector<double> copy_times;
    std::vector<double> beyond;
    for (int round = -kWarmUps; round < rounds; ++round) {
        // Who goes first changes: neither always finds what the other has left in L2.
        double copied = 0;
        double done = 0;
        for (const bool first : {true, false}) {
            if (first == (round % 2 == 0)) {
                done = timing.time([&] { op(); }) / kLaunches;
            } else {
                copied = timing.time([&] { copy(); }) / kLaunches;
            }
        }
        if (round >= 0) {
            op_times.push_back(done);
            copy_times.push_back(copied);
            beyond.push_back(done - copied);
        }
    }
    const Summary difference = summarise(beyond);
    nlohmann::json result = describe(cell);
    result["launches"] = kLaunches;
    result["microseconds"] = summarise(op_times).median;
    result["copy_microseconds"] = summarise(copy_times).median;
    result["beyond_copy_microseconds"] = difference.median;
    result["beyond_smallest"] = difference.smallest;
    result["beyond_largest"] = difference.largest;
    return result;
}

}  // namespace opforge::bench
