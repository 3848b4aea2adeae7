#include "support/temporary_directory.hpp"

#include <opforge/base/machine_limits.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <sched.h>
#include <string>

namespace opforge::test {
namespace {

constexpr std::uint64_t kMebibyte = 1024 * 1024;

// A machine with 64 GiB available, in files of its own; its processors are this machine's.
class FakeMachine {
public:
    FakeMachine() { file("proc/meminfo", "MemTotal: 99 kB\nMemAvailable:   67108864 kB\n"); }
    void file(const std::string& name, const std::string& text) {
        const auto path = folder_.path() / name;
        std::filesystem::create_directories(path.parent_path());
        write_file(path, text);
    }
    [[nodiscard]] MachineLimits limits() const { return machine_limits(folder_.path()); }

private:
    TemporaryDirectory folder_;
};

int processors_here() {
    cpu_set_t set;
    REQUIRE(::sched_getaffinity(0, sizeof(set), &set) == 0);
    return CPU_COUNT(&set);
}

constexpr const char* kMountsV2 =
    "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kMountsV1 =
    "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

TEST_CASE("without cgroups the affinity and the memory available are the limits", "[base]") {
    const FakeMachine machine;
    CHECK(machine.limits().processors == processors_here());
    CHECK(machine.limits().memory_bytes == 65536 * kMebibyte);
}

TEST_CASE("this machine has limits", "[base]") {
    CHECK(machine_limits().processors >= 1);
    CHECK(machine_limits().processors <= processors_here());
    CHECK(machine_limits().memory_bytes.value_or(0) > 0);
}

TEST_CASE("an affinity of one processor is one processor", "[base]") {
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof(before), &before) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
        }
    }
    REQUIRE(::sched_setaffinity(0, sizeof(one), &one) == 0);
    CHECK(machine_limits().processors == 1);
    CHECK(::sched_setaffinity(0, sizeof(before), &before) == 0);
}

TEST_CASE("the quota of a version 2 cgroup limits processors and memory", "[base]") {
    FakeMachine machine;
    machine.file("proc/self/mountinfo", kMountsV2);
    machine.file("proc/self/cgroup", "0::/pod/container\n");
    machine.file("sys/fs/cgroup/pod/container/cpu.max", "50000 100000\n");
    machine.file("sys/fs/cgroup/pod/container/memory.max", "1073741824\n");
    machine.file("sys/fs/cgroup/pod/container/memory.current", "536870912\n");
    machine.file("sys/fs/cgroup/pod/container/memory.stat", "anon 1\ninactive_file 268435456\n");
    CHECK(machine.limits().processors == 1);
    // 512 MiB in use, of which 256 MiB are cache that can be dropped.
    CHECK(machine.limits().memory_bytes == 768 * kMebibyte);
}

TEST_CASE("a limit of a cgroup above the process's counts too, \"max\" limits nothing", "[base]") {
    FakeMachine machine;
    machine.file("proc/self/mountinfo", kMountsV2);
    machine.file("proc/self/cgroup", "0::/pod/container\n");
    machine.file("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
    machine.file("sys/fs/cgroup/pod/container/memory.max", "max\n");
    machine.file("sys/fs/cgroup/pod/cpu.max", "100000 100000\n");
    machine.file("sys/fs/cgroup/pod/memory.max", "1048576\n");
    CHECK(machine.limits().processors == 1);
    CHECK(machine.limits().memory_bytes == kMebibyte);
}

TEST_CASE("a container sees only its own part of the hierarchy", "[base]") {
    FakeMachine machine;
    machine.file("proc/self/mountinfo",
                 "29 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    machine.file("proc/self/cgroup", "0::/docker/abc\n");
    machine.file("sys/fs/cgroup/memory.max", "2097152\n");
    CHECK(machine.limits().memory_bytes == 2 * kMebibyte);
}

TEST_CASE("version 1 cgroups limit likewise", "[base]") {
    FakeMachine machine;
    machine.file("proc/self/mountinfo", kMountsV1);
    machine.file("proc/self/cgroup", "4:memory:/job\n1:cpu,cpuacct:/job\n");
    machine.file("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "30000\n");
    machine.file("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    machine.file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    machine.file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4194304\n");
    machine.file("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "3145728\n");
    machine.file("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 1048576\n");
    CHECK(machine.limits().processors == 1);
    CHECK(machine.limits().memory_bytes == 2 * kMebibyte);
}

TEST_CASE("what is over its limit has nothing left, and files of nonsense limit nothing",
          "[base]") {
    FakeMachine machine;
    machine.file("proc/self/mountinfo", kMountsV2);
    machine.file("proc/self/cgroup", "nonsense\n0::/a\n");
    machine.file("sys/fs/cgroup/a/cpu.max", "many\n");
    machine.file("sys/fs/cgroup/a/memory.max", "4194304\n");
    machine.file("sys/fs/cgroup/a/memory.current", "9999999\n");
    CHECK(machine.limits().processors == processors_here());
    CHECK(machine.limits().memory_bytes == 0U);
}

}  // namespace
}  // namespace opforge::test
