#include "quantize_file.hpp"

#include "file_errors.hpp"
#include "quantize_engine.hpp"
#include "staged_output.hpp"

#include <opforge/base/bytes.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace opforge::tools {
namespace {

constexpr std::uint64_t kCopyBlock = std::uint64_t{4} << 20U;

void copy_range(const InputFile& input, StagedOutput& output, std::uint64_t offset,
                std::uint64_t size_bytes, Bytes& buffer) {
    while (size_bytes > 0) {
        const std::uint64_t block = std::min(kCopyBlock, size_bytes);
        buffer.resize(static_cast<std::size_t>(block));
        input.read(offset, buffer);
        output.write(buffer);
        offset += block;
        size_bytes -= block;
    }
}

void refuse_where_nothing_fits(const std::filesystem::path& path,
                               const std::vector<TensorOutcome>& tensors) {
    const TensorOutcome* example = nullptr;
    for (const TensorOutcome& outcome : tensors) {
        if (outcome.skipped.empty()) {
            return;
        }
        if (example == nullptr && outcome.tensor.elements > 0) {
            example = &outcome;
        }
    }
    if (example != nullptr) {
        throw InputError(path, fmt::format("no tensor can be quantized with these settings; "
                                           "\"{}\": {}",
                                           example->tensor.name, example->skipped));
    }
}

class FileQuantizer {
public:
    FileQuantizer(const QuantizeSettings& settings, const QuantizeProgress& progress)
        : settings_(settings), progress_(progress), input_(settings.input) {}

    FileOutcome run() {
        TensorIndex index = read_tensor_index(input_);
        const std::vector<std::uint64_t> offsets = random_offsets(index.tensors);
        FileOutcome outcome{index.format, {}};
        for (std::size_t i = 0; i < index.tensors.size(); ++i) {
            TensorOutcome& tensor = outcome.tensors.emplace_back();
            tensor.skipped = reason_to_skip(index.tensors[i], settings_);
            tensor.random_offset = offsets[i];
            tensor.tensor = std::move(index.tensors[i]);
        }
        refuse_where_nothing_fits(settings_.input, outcome.tensors);
        if (settings_.output) {
            output_ = std::make_unique<StagedOutput>(*settings_.output);
            copy_range(input_, *output_, 0, index.data_offset, before_);
        }
        for (TensorOutcome& tensor : outcome.tensors) {
            report(tensor.tensor.offset, tensor.tensor.name);
            if (tensor.skipped.empty()) {
                quantize(tensor);
            } else if (output_) {
                copy_range(input_, *output_, tensor.tensor.offset, tensor.tensor.size_bytes,
                           before_);
            }
        }
        report(input_.size_bytes(), "");
        if (output_) {
            output_->commit();
        }
        return outcome;
    }

private:
    void report(std::uint64_t done_bytes, std::string_view tensor) const {
        if (progress_) {
            progress_(done_bytes, input_.size_bytes(), tensor);
        }
    }

    void quantize(TensorOutcome& outcome) {
        const TensorEntry& tensor = outcome.tensor;
        outcome.groups = settings_.groups > 0
                             ? settings_.groups
                             : static_cast<std::int64_t>(tensor.elements) / settings_.group_size;
        before_.resize(static_cast<std::size_t>(tensor.size_bytes));
        after_.resize(before_.size());
        input_.read(tensor.offset, before_);
        if (!engine_) {
            engine_ = make_engine(settings_.device, settings_.threads);
        }
        const EngineCall call{*tensor.element,      outcome.groups,
                              settings_.bits,       settings_.stochastic,
                              settings_.asymmetric, {settings_.seed, outcome.random_offset}};
        const EngineTimes times = engine_->run(call, before_, after_);
        outcome.seconds = times.op_seconds;
        outcome.copy_seconds = times.copy_seconds;
        outcome.error = measure_error(*tensor.element, before_, after_, settings_.threads);
        if (output_) {
            output_->write(after_);
        }
    }

    const QuantizeSettings& settings_;
    const QuantizeProgress& progress_;
    InputFile input_;
    std::unique_ptr<StagedOutput> output_;
    std::unique_ptr<QuantizeEngine> engine_;
    Bytes before_;
    Bytes after_;
};

}  // namespace

std::string reason_to_skip(const TensorEntry& tensor, const QuantizeSettings& settings) {
    using runtime::Dtype;
    if (tensor.element != Dtype::float16 && tensor.element != Dtype::bfloat16 &&
        tensor.element != Dtype::float32) {
        return fmt::format("dtype {} (float16, bfloat16 and float32 are quantized)", tensor.dtype);
    }
    if (tensor.elements == 0) {
        return "empty";
    }
    const bool by_count = settings.groups > 0;
    const auto divisor =
        static_cast<std::uint64_t>(by_count ? settings.groups : settings.group_size);
    if (tensor.elements % divisor != 0) {
        return fmt::format("{} elements do not divide into groups {} {}", tensor.elements,
                           by_count ? "numbering" : "of", divisor);
    }
    return {};
}

std::vector<std::uint64_t> random_offsets(const std::vector<TensorEntry>& tensors) {
    std::vector<std::uint64_t> offsets;
    std::uint64_t next = 0;
    for (const TensorEntry& tensor : tensors) {
        offsets.push_back(next);
        next += (tensor.elements + 3) / 4 * 4;
    }
    return offsets;
}

FileOutcome quantize_file(const QuantizeSettings& settings, const QuantizeProgress& progress) {
    return FileQuantizer(settings, progress).run();
}

}  // namespace opforge::tools
