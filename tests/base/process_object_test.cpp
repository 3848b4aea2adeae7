#include <opforge/base/process_object.hpp>

#include "support/child_process.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <ostream>
#include <set>
#include <thread>
#include <vector>

using opforge::ProcessObject;

namespace {

struct Counted {
    static inline std::atomic<int> alive{0};
    Counted() { ++alive; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --alive; }
};

}  // namespace

TEST_CASE("threads that come at once get one object, and the others' are gone", "[base]") {
    static constinit ProcessObject<Counted> object;
    CHECK(object.find() == nullptr);
    std::vector<Counted*> seen(8);
    std::vector<std::thread> threads;
    for (Counted*& one : seen) {
        threads.emplace_back([&one] { one = &object.get(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(std::set<Counted*>(seen.begin(), seen.end()) == std::set<Counted*>{object.find()});
    CHECK(Counted::alive == 1);
}

TEST_CASE("a child forked while a thread makes the object makes its own", "[base]") {
    static constinit ProcessObject<int> object;
    std::promise<void> making;
    std::promise<void> go;
    std::thread maker([&] {
        static_cast<void>(object.get([&] {
            making.set_value();
            go.get_future().wait();
            return std::make_unique<int>(1);
        }));
    });
    making.get_future().wait();
    const auto child = opforge::test::run_in_child(
        [](std::ostream& out) { out << object.get([] { return std::make_unique<int>(2); }); });
    go.set_value();
    maker.join();
    CHECK(child.output == "2");
    CHECK(object.get() == 1);
}
