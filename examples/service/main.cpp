// A service that has its kernels before the first request: warm_up() runs in the background while
// the service gets ready, says how far it is, and can be stopped; then many threads quantize at
// once. The library's messages go to the service's own log, its cache to the service's own folder.
//
//   service [cache folder]
#include <opforge/base/log_sink.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/opforge.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <atomic>
#include <cstdio>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 8;
constexpr int kRequests = 50;  // a thread

void use_cache_folder(const char* folder) {
    opforge::builder::BuilderContext context;
    context.cache =
        std::make_shared<opforge::cache::Cache>(opforge::cache::CacheOptions{folder, false});
    opforge::runtime::configure_quantizer(std::move(context));
}

// Whether there is a GPU whose kernels are now ready.
bool warm_up(const std::stop_token& stop) {
    opforge::runtime::WarmUpOptions options;
    options.programs = {"ds_quantize_fp32"};  // what this service will call
    options.stop = stop;
    options.progress = [](const opforge::runtime::WarmUpProgress& progress) {
        std::printf("service: %zu of %zu kernels ready: %s (%s)\n", progress.done, progress.total,
                    progress.program.c_str(), progress.origin.c_str());
    };
    try {
        return opforge::runtime::warm_up_in_background(std::move(options)).get() > 0;
    } catch (const opforge::NoDevice& error) {
        std::printf("service: skipped the GPU: %s\n", error.what());
        return false;
    }
}

// One request: a tensor of this thread's own, quantized where it lies.
bool serve(float value) {
    std::vector<float> tensor(4096, value);
    tensor[0] = -1.0F;
    opforge::CallOptions options;
    options.threads = 1;  // the service has threads enough
    opforge::ds_quantizer({tensor.data(), opforge::Dtype::float32, {4096}, opforge::Device::cpu()},
                          /*groups=*/16, /*bit_num=*/8, /*sr=*/false, /*asym=*/false, options);
    return tensor[1] > value - 0.01F && tensor[1] < value + 0.01F;
}

}  // namespace

int main(int argc, char** argv) {
    opforge::set_log_sink([](opforge::LogLevel, std::string_view message) {
        std::fprintf(stderr, "[service] %.*s\n", static_cast<int>(message.size()), message.data());
    });
    if (argc > 1) {
        use_cache_folder(argv[1]);
    }
    std::stop_source stop;  // a signal handler's thread would ask it
    warm_up(stop.get_token());

    std::atomic<int> served = 0;
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&served, thread] {
            for (int request = 0; request < kRequests; ++request) {
                served += serve(0.1F * static_cast<float>(thread + 1)) ? 1 : 0;
            }
        });
    }
    threads.clear();  // joins them
    std::printf("service: served %d of %d requests\n", served.load(), kThreads * kRequests);
    return served == kThreads * kRequests ? 0 : 1;
}
