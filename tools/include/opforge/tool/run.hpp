// The `opforge` command as a library: a program of one's own with the same verbs, for one's own
// ops.
//
//     int main(int argc, char** argv) {
//         opforge::tool::Catalog catalog = opforge::tool::own_ops();  // or an empty one
//         catalog.add<MyOpBuilder>("my_op");
//         return opforge::tool::run(argc, argv, catalog);
//     }
//
// The whole process is the tool's: it writes to the standard files, handles signals, and starts
// its own executable anew as the worker processes of `prewarm`.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/op_catalog.hpp>

namespace opforge::tool {

using Catalog = builder::OpCatalog;

/// The ops that come with opforge: `quantizer`.
[[nodiscard]] OPFORGE_API Catalog own_ops();

/// Parses the command line, runs one verb, prints its result. Returns the exit code that the table
/// of docs/operations.md gives; throws nothing. To be called from main(), once.
[[nodiscard]] OPFORGE_API int run(int argc, const char* const* argv, const Catalog& catalog);

}  // namespace opforge::tool
