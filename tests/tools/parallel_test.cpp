#include "support/child_process.hpp"

#include <parallel.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <ostream>
#include <sys/resource.h>
#include <unistd.h>

namespace opforge::test {
namespace {

TEST_CASE("pieces are all done where no further thread can be had", "[tools]") {
    const auto child = run_in_child([](std::ostream& out) {
        // Root has no such limit.
        if (::geteuid() == 0 && ::setuid(65534) != 0) {
            return;
        }
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_NPROC, &none);
        std::atomic<int> done{0};
        tools::for_each_piece(100, 8, [&done](std::size_t) { ++done; });
        out << done.load();
    });
    CHECK(child.exit_code == 0);
    CHECK(child.output == "100");
}

}  // namespace
}  // namespace opforge::test
