// Says what driver_state() says, as a process of its own: the answer is memoised for a process's
// life.
//   driver_probe            asks twice and prints the answer
//   driver_probe nothing    asks nothing, and prints whether a libcuda was loaded all the same
#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/errors.hpp>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

int main(int count, char** arguments) {
    if (count > 1 && std::string_view(arguments[1]) == "nothing") {
        std::ifstream maps("/proc/self/maps");
        const std::string text{std::istreambuf_iterator<char>(maps),
                               std::istreambuf_iterator<char>()};
        std::cout << (text.find("libcuda") == std::string::npos ? "none loaded" : "loaded") << '\n';
        return 0;
    }
    const opforge::driver::DriverState& first = opforge::driver::driver_state();
    const opforge::driver::DriverState& second = opforge::driver::driver_state();
    std::cout << (&first == &second ? "same answer" : "two answers") << '\n'
              << (first.api != nullptr ? "driver" : "no driver") << '\n'
              << first.version << '\n'
              << first.reason << '\n';
    try {
        std::cout << (&opforge::driver::real_driver() == first.api ? "real_driver"
                                                                   : "another driver")
                  << '\n';
    } catch (const opforge::NoDevice& error) {
        std::cout << error.kind() << ": " << error.what() << '\n';
    }
    return 0;
}
