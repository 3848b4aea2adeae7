#include "program.hpp"

#include <iostream>

int main(int argc, char** argv) {
    return opforge::golden::run_program(argc, argv, std::cout, std::cerr);
}
