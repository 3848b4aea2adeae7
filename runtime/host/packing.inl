// Codes to and from a most-significant-bit-first stream, included after vector_math.inl. `size` is
// at most kChunk and fills whole bytes. Codes are bytes in a buffer: shuffles of bytes are cheaper
// than shuffles of floats.

namespace opforge::runtime::host {
namespace {

using u8 = std::uint8_t;

u64 packed_bytes(u64 elements, int bits) {
    // Not elements * bits / 8, which leaves 64 bits behind earlier.
    return elements / (8U / static_cast<u64>(bits));
}

void pack(const std::int8_t* codes, int size, int bits, u8* stream) {
    const u64 bytes = packed_bytes(static_cast<u64>(size), bits);
    if (bits == 8) {
        __builtin_memcpy(stream, codes, bytes);
        return;
    }
    u8 packed[kChunk / 2];
    const int count = static_cast<int>(bytes);
    if (bits == 4) {
        for (int i = 0; i < count; ++i) {
            packed[i] = static_cast<u8>((codes[2 * i] & 15) << 4 | (codes[2 * i + 1] & 15));
        }
    } else {
        for (int i = 0; i < count; ++i) {
            packed[i] = static_cast<u8>((codes[4 * i] & 3) << 6 | (codes[4 * i + 1] & 3) << 4 |
                                        (codes[4 * i + 2] & 3) << 2 | (codes[4 * i + 3] & 3));
        }
    }
    __builtin_memcpy(stream, packed, bytes);
}

/// A code from the upper end of a byte. Code: int8_t takes its uppermost bit for the sign, uint8_t
/// does not.
template <class Code>
Code upper(int byte, int bits) {
    return static_cast<Code>(static_cast<Code>(byte) >> (8 - bits));
}

template <class Code>
void unpack(const u8* stream, int size, int bits, Code* codes) {
    const u64 bytes = packed_bytes(static_cast<u64>(size), bits);
    const int count = static_cast<int>(bytes);
    if (bits == 8) {
        __builtin_memcpy(codes, stream, bytes);
    } else if (bits == 4) {
        u8 packed[kChunk / 2];
        __builtin_memcpy(packed, stream, bytes);
        for (int i = 0; i < count; ++i) {
            codes[2 * i] = upper<Code>(packed[i], 4);
            codes[2 * i + 1] = upper<Code>(packed[i] << 4, 4);
        }
    } else {
        u8 packed[kChunk / 4];
        __builtin_memcpy(packed, stream, bytes);
        for (int i = 0; i < count; ++i) {
            codes[4 * i] = upper<Code>(packed[i], 2);
            codes[4 * i + 1] = upper<Code>(packed[i] << 2, 2);
            codes[4 * i + 2] = upper<Code>(packed[i] << 4, 2);
            codes[4 * i + 3] = upper<Code>(packed[i] << 6, 2);
        }
    }
}

}  // namespace
}  // namespace opforge::runtime::host
