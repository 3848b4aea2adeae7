// The op table as docs/quantizer_ops.md shows it.
#pragma once

#include <string>

namespace opforge::test {

/// Lines of two Markdown tables, ops and refusals, each line ending in a newline.
[[nodiscard]] std::string op_table_markdown();

}  // namespace opforge::test
