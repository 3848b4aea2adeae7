// A tool with opforge's verbs, for this op: own_op_tool prewarm --arch 8.0,9.0, own_op_tool report.
#include "my_op_builder.hpp"

#include <opforge/tool/run.hpp>

int main(int argc, char** argv) {
    opforge::tool::Catalog catalog;
    catalog.add<MyOpBuilder>("my_op");
    return opforge::tool::run(argc, argv, catalog);
}
