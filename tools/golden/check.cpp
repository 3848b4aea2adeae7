#include "check.hpp"

#include "compare.hpp"

#include <opforge/builder/errors.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace opforge::golden {

namespace {

std::optional<std::string> first_mismatch(const Case& of) {
    for (const auto& [name, expected] : of.expected) {
        const auto found = of.outputs.find(name);
        if (found == of.outputs.end()) {
            return fmt::format("{}: missing", name);
        }
        const Tensor& actual = found->second;
        if (actual.dtype() != expected.dtype() || actual.shape() != expected.shape()) {
            return fmt::format("{}: expected {} [{}], got {} [{}]", name, expected.dtype(),
                               fmt::join(expected.shape(), ", "), actual.dtype(),
                               fmt::join(actual.shape(), ", "));
        }
        const auto index = first_difference(expected.dtype(), expected.bytes(), actual.bytes());
        if (index.has_value()) {
            return fmt::format("{}[{}]: expected {}, got {}", name, *index,
                               show_element(expected.dtype(), expected.bytes(), *index),
                               show_element(actual.dtype(), actual.bytes(), *index));
        }
    }
    return std::nullopt;
}

// What is wrong with the case's result; nullopt where it is exact.
std::optional<std::string> run_case(Case& of, Runner runner, const Place& place) {
    try {
        // The runner may look at the names of the outputs there were.
        Tensors outputs = runner(of, place);
        of.outputs = std::move(outputs);
    } catch (const VectorError&) {
        throw;
    } catch (const NoDevice&) {
        throw;
    } catch (const ToolchainNotFound&) {
        throw;
    } catch (const OfflineMiss&) {
        throw;
    } catch (const Error& error) {
        of.outputs.clear();
        return fmt::format("{}: {}", error.kind(), error.what());
    }
    return first_mismatch(of);
}

}  // namespace

Summary check_vectors(Vectors& vectors, const Place& place, Judge judge) {
    Summary summary;
    for (Case& of : vectors.cases) {
        OpCounts& counts = summary.ops[of.op];
        ++counts.cases;
        const Runner runner = find_runner(of.op);
        if (runner == nullptr) {
            of.outputs.clear();
            ++counts.skipped;
            continue;
        }
        if (of.expected.empty() && judge == Judge::all) {
            throw VectorError(fmt::format("case {}: nothing is expected of it", of.index));
        }
        if (auto mismatch = run_case(of, runner, place); mismatch.has_value()) {
            ++counts.failed;
            summary.failures.push_back(
                {of.index, of.op, of.attributes.dump(), std::move(*mismatch)});
        } else if (of.expected.empty()) {
            ++counts.skipped;
        } else {
            ++counts.exact;
        }
    }
    return summary;
}

}  // namespace opforge::golden
