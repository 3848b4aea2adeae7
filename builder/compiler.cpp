#include <opforge/builder/compiler.hpp>

namespace opforge::builder {

Compiler::~Compiler() = default;

}  // namespace opforge::builder
