// Decoding on the host: the dequantizers, and what a reduction reads. Included after packing.inl.
// Arithmetic: contract, 5 and 6.

namespace opforge::runtime::host {
namespace {

/// Calls act(begin, count, group) for each run of [0, size) that lies in one group, where element 0
/// is element `first` of the tensor.
template <class Act>
void each_run(i64 first, int size, i64 group_size, Act act) {
    i64 group = first / group_size;
    i64 left = group_size - first % group_size;
    for (int begin = 0; begin < size;) {
        const int count = left < size - begin ? static_cast<int>(left) : size - begin;
        act(begin, count, group);
        begin += count;
        ++group;
        left = group_size;
    }
}

struct CodedTensor {
    const u8* codes;
    const float* params;
    i64 group_size;
    int bits;
    bool asymmetric;
};

/// Values of elements [first, first + size): float32, not rounded further.
void decode(const CodedTensor& tensor, i64 first, int size, float* values) {
    std::int8_t codes[kChunk];
    unpack(tensor.codes + packed_bytes(static_cast<u64>(first), tensor.bits), size, tensor.bits,
           codes);
    each_run(first, size, tensor.group_size, [&](int begin, int count, i64 group) {
        if (tensor.asymmetric) {
            const float step = tensor.params[2 * group];
            const float offset = tensor.params[2 * group + 1];
            for (int i = begin; i < begin + count; ++i) {
                values[i] = __builtin_fmaf(static_cast<float>(codes[i]), step, offset);
            }
        } else {
            const float step = tensor.params[group];
            for (int i = begin; i < begin + count; ++i) {
                values[i] = static_cast<float>(codes[i]) * step;
            }
        }
    });
}

void run_dequantize(const DequantizeTask& task, i64 begin, i64 end) {
    const CodedTensor tensor = {task.codes, task.params, task.group_size, task.bits,
                                task.asymmetric};
    with_element(task.dtype, [&](auto element) {
        using Element = decltype(element);
        using Raw = typename Element::Raw;
        float values[kChunk];
        for (i64 first = begin; first < end; first += kChunk) {
            const int size = static_cast<int>(end - first < kChunk ? end - first : kChunk);
            decode(tensor, first, size, values);
            Raw* out = static_cast<Raw*>(task.output) + first;
            for (int i = 0; i < size; ++i) {
                out[i] = Element::narrow(values[i]);
            }
        }
    });
}

void run_dequantize_experimental(const ExperimentalDequantizeTask& task, i64 begin, i64 end) {
    u8 codes[kChunk];
    for (i64 first = begin; first < end; first += kChunk) {
        const int size = static_cast<int>(end - first < kChunk ? end - first : kChunk);
        unpack(task.codes + packed_bytes(static_cast<u64>(first), task.bits), size, task.bits,
               codes);
        u16* out = task.output + first;
        each_run(first, size, task.group_size, [&](int run, int count, i64 group) {
            const float scale = Fp16::widen(task.scale[group]);
            const float min = Fp16::widen(task.min[group]);
            for (int i = run; i < run + count; ++i) {
                // Twice rounded, to float32 and then to fp16, is once rounded here: float32 has
                // more than twice the digits.
                const float quotient = Fp16::round(static_cast<float>(codes[i]) / scale);
                out[i] = Fp16::narrow(quotient + min);
            }
        });
    }
}

}  // namespace
}  // namespace opforge::runtime::host
