#include "support/fake_driver.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace opforge;
using test::FakeDriver;

namespace {

driver::ContextHandle make_current(const FakeDriver& driver, int device = 0) {
    driver::ContextHandle context = nullptr;
    REQUIRE(driver.context_create(&context, device) == 0);
    return context;
}

}  // namespace

TEST_CASE("the fake driver's memory holds what was copied to it", "[driver]") {
    const FakeDriver driver;
    make_current(driver);
    driver::DevicePointer memory = 0;
    REQUIRE(driver.memory_allocate(&memory, 8) == 0);
    CHECK(memory % 256 == 0);

    const char text[8] = "opforge";
    REQUIRE(driver.copy_to_device(memory, text, sizeof text) == 0);
    char back[8] = {};
    REQUIRE(driver.copy_to_host(back, memory, sizeof back) == 0);
    CHECK(std::string(back) == "opforge");

    CHECK(driver.copy_to_device(memory + 1, text, sizeof text) == 1);
    CHECK(driver.outstanding().allocations == 1);
    CHECK(driver.memory_free(memory) == 0);
    CHECK(driver.memory_free(memory) == 1);
    CHECK(driver.outstanding().allocations == 0);
}

TEST_CASE("the fake driver keeps a stack of contexts for each thread", "[driver]") {
    const FakeDriver driver;
    const driver::ContextHandle context = make_current(driver);
    driver::ContextHandle elsewhere = context;
    std::thread([&] { CHECK(driver.context_get_current(&elsewhere) == 0); }).join();
    CHECK(elsewhere == nullptr);
    CHECK(driver.context_stack() == std::vector{context});

    driver::ContextHandle popped = nullptr;
    CHECK(driver.context_pop(&popped) == 0);
    CHECK(popped == context);
    CHECK(driver.context_pop(&popped) == 201);
    driver::StreamHandle stream = nullptr;
    CHECK(driver.stream_create(&stream, 0) == 201);
}

TEST_CASE("the fake driver fails the calls it was told to fail, and only those", "[driver]") {
    FakeDriver driver;
    make_current(driver);
    driver.fail("stream_synchronize", 719, 2, 2);
    CHECK(driver.stream_synchronize(nullptr) == 0);
    CHECK(driver.stream_synchronize(nullptr) == 719);
    CHECK(driver.stream_synchronize(nullptr) == 719);
    CHECK(driver.stream_synchronize(nullptr) == 0);
    CHECK(driver.count("stream_synchronize") == 4);
    driver.fail_always("context_synchronize", 700);
    CHECK(driver.context_synchronize() == 700);
    CHECK(driver.context_synchronize() == 700);
}

TEST_CASE("the fake driver shows a launch to its hook with the arguments that were passed",
          "[driver]") {
    FakeDriver driver;
    const driver::ContextHandle context = make_current(driver);
    const Bytes code(3, std::byte{1});
    driver::LibraryHandle library = nullptr;
    REQUIRE(driver.library_load(&library, code) == 0);
    driver::KernelHandle kernel = nullptr;
    REQUIRE(driver.library_get_kernel(&kernel, library, "add") == 0);

    int seen = 0;
    driver.on_launch([&](const test::FakeLaunch& launch) {
        seen = *static_cast<int*>(launch.arguments[0]);
        CHECK(launch.kernel == "add");
        CHECK(*launch.code == code);
        CHECK(launch.context == context);
        return 0;
    });
    int value = 42;
    void* arguments[] = {&value};
    REQUIRE(driver.launch(kernel, {.grid_x = 2, .block_x = 64}, nullptr, arguments) == 0);
    CHECK(seen == 42);
    REQUIRE(driver.launches().size() == 1);
    CHECK(driver.launches()[0].config.block_x == 64);

    CHECK(driver.launch(kernel, {.block_x = 2048}, nullptr, arguments) == 1);
    REQUIRE(driver.library_unload(library) == 0);
    CHECK(driver.launch(kernel, {}, nullptr, arguments) == 400);
    CHECK(driver.launches().size() == 1);
}

TEST_CASE("the fake driver refuses the kernels and the code it was told to refuse", "[driver]") {
    FakeDriver driver;
    driver.refuse_code(Bytes(2, std::byte{7}), 209);
    driver.set_kernel_names({"add"});
    driver::LibraryHandle library = nullptr;
    CHECK(driver.library_load(&library, Bytes(2, std::byte{7})) == 209);
    CHECK(driver.library_load(&library, {}) == 200);
    REQUIRE(driver.library_load(&library, Bytes(2, std::byte{8})) == 0);
    driver::KernelHandle kernel = nullptr;
    CHECK(driver.library_get_kernel(&kernel, library, "sub") == 500);
    CHECK(driver.library_get_kernel(&kernel, library, "add") == 0);
    CHECK(driver.outstanding().libraries == 1);
}

TEST_CASE("the fake driver knows whose streams and events are whose", "[driver]") {
    FakeDriver driver({{}, {.name = "second", .major = 8}});
    const driver::ContextHandle first = make_current(driver, 0);
    driver::StreamHandle stream = nullptr;
    REQUIRE(driver.stream_create(&stream, 0) == 0);
    make_current(driver, 1);
    driver::ContextHandle owner = nullptr;
    REQUIRE(driver.stream_get_context(stream, &owner) == 0);
    CHECK(owner == first);
    int device = -1;
    REQUIRE(driver.context_get_device(&device) == 0);
    CHECK(device == 1);
    driver::EventHandle event = nullptr;
    REQUIRE(driver.event_create(&event, 0) == 0);
    CHECK(driver.event_record(event, stream) == 400);
    CHECK(driver.event_record(event, nullptr) == 0);

    int status = -1;
    driver.set_capture_status(stream, 1);
    REQUIRE(driver.stream_is_capturing(stream, &status) == 0);
    CHECK(status == 1);
    REQUIRE(driver.stream_is_capturing(nullptr, &status) == 0);
    CHECK(status == 0);
    CHECK(driver.stream_destroy(stream) == 0);
    CHECK(driver.stream_destroy(stream) == 400);
}
