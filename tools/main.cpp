// The `opforge` program: the tool with opforge's own ops.
#include <opforge/tool/run.hpp>

int main(int argc, char** argv) {
    return opforge::tool::run(argc, argv, opforge::tool::own_ops());
}
