// Prints "consumer: ok" where two copies of opforge, the host's own spdlog and fmt, and CUDA's
// runtime work in one process.
#include <opforge/base/log_sink.hpp>
#include <opforge/cache/digest.hpp>
#include <opforge/opforge.hpp>

#include <fmt/format.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#ifdef HAS_CUDART
#include <cuda_runtime_api.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <vector>

extern "C" int plugin_quantizes();
extern "C" int plugin_log_level();
extern "C" int plugin_hashes();

// The host's own functions under libcrypto's names, as a host with another libcrypto has them:
// opforge must call its own.
extern "C" int SHA256_Init(void*) {
    std::abort();
}
extern "C" int SHA256_Update(void*, const void*, unsigned long) {
    std::abort();
}
extern "C" int SHA256_Final(unsigned char*, void*) {
    std::abort();
}
extern "C" unsigned char* SHA256(const unsigned char*, unsigned long, unsigned char*) {
    std::abort();
}

namespace {

bool logs_through_the_hosts_spdlog() {
    std::ostringstream text;
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
    auto logger = std::make_shared<spdlog::logger>("opforge", sink);
    spdlog::register_logger(logger);  // the name is free: opforge registers nothing
    opforge::set_log_sink(
        [&](opforge::LogLevel, std::string_view message) { logger->warn("{}", message); });
    opforge::log(opforge::LogLevel::warning, "through the host");
    opforge::set_log_sink({});
    return text.str().find("through the host") != std::string::npos;
}

bool quantizes() {
    std::vector<float> values = {-2.0F, -1.0F, 0.25F, 2.0F};
    opforge::ds_quantizer({values.data(), opforge::Dtype::float32, {4}, opforge::Device::cpu()}, 1,
                          8);
    return values[0] < -1.9F && values[0] > -2.1F;
}

bool cuda_runtime_works() {
#ifdef HAS_CUDART
    int version = 0;
    const bool answers = cudaRuntimeGetVersion(&version) == cudaSuccess && version >= 12000;
    int devices = 0;
    if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) {
        // On a GPU, opforge quantizes what CUDA's runtime allocated, in the context that the
        // runtime made.
        float host[4] = {-2.0F, -1.0F, 0.25F, 2.0F};
        void* memory = nullptr;
        if (cudaMalloc(&memory, sizeof host) != cudaSuccess ||
            cudaMemcpy(memory, host, sizeof host, cudaMemcpyHostToDevice) != cudaSuccess) {
            return false;
        }
        opforge::ds_quantizer({memory, opforge::Dtype::float32, {4}, opforge::Device::cuda(0)}, 1,
                              8);
        return answers &&
               cudaMemcpy(host, memory, sizeof host, cudaMemcpyDeviceToHost) == cudaSuccess &&
               host[0] < -1.9F && host[0] > -2.1F && cudaFree(memory) == cudaSuccess;
    }
    return answers;
#else
    std::puts("two_copies: without CUDA's runtime, which is not installed");
    return true;
#endif
}

}  // namespace

int main() {
    opforge::set_log_level(opforge::LogLevel::error);
    const bool separate = plugin_log_level() == static_cast<int>(opforge::LogLevel::warning);
    opforge::set_log_level(opforge::LogLevel::warning);
    const bool hashes =
        opforge::cache::sha256("abc").hex().starts_with("ba7816bf") && plugin_hashes() != 0;
    const bool good = separate && hashes && quantizes() && plugin_quantizes() != 0 &&
                      logs_through_the_hosts_spdlog() && cuda_runtime_works();
    fmt::print("two_copies: fmt {}, spdlog {}.{}\n", FMT_VERSION, SPDLOG_VER_MAJOR,
               SPDLOG_VER_MINOR);
    std::printf("consumer: %s\n", good ? "ok" : "wrong");
    return good ? 0 : 1;
}
