#include "cubin_facts.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace opforge::builder {
namespace {

// One object at `offset`, or nothing where it does not fit.
template <typename T>
std::optional<T> read(std::span<const std::byte> bytes, std::uint64_t offset) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
        return std::nullopt;
    }
    T object;
    std::memcpy(&object, bytes.data() + offset, sizeof object);
    return object;
}

std::span<const std::byte> contents(std::span<const std::byte> cubin, const Elf64_Shdr& section) {
    if (section.sh_type == SHT_NOBITS || section.sh_offset > cubin.size() ||
        section.sh_size > cubin.size() - section.sh_offset) {
        return {};
    }
    return cubin.subspan(section.sh_offset, section.sh_size);
}

std::string_view text_at(std::span<const std::byte> strings, std::uint64_t offset) {
    if (offset >= strings.size()) {
        return {};
    }
    const auto rest = strings.subspan(offset);
    const auto end = std::find(rest.begin(), rest.end(), std::byte{0});
    if (end == rest.end()) {
        return {};
    }
    return {reinterpret_cast<const char*>(rest.data()),
            static_cast<std::size_t>(end - rest.begin())};
}

struct Section {
    std::string_view name;
    Elf64_Shdr header;
};

std::vector<Section> read_sections(std::span<const std::byte> cubin) {
    const auto header = read<Elf64_Ehdr>(cubin, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_CUDA ||
        header->e_shentsize != sizeof(Elf64_Shdr)) {
        return {};
    }
    std::vector<Section> sections;
    for (std::uint64_t index = 0; index < header->e_shnum; ++index) {
        // No overflow: an offset past the end of the file is refused by the first comparison in
        // read().
        const std::uint64_t skip = index * sizeof(Elf64_Shdr);
        if (header->e_shoff > std::numeric_limits<std::uint64_t>::max() - skip) {
            return {};
        }
        const auto section = read<Elf64_Shdr>(cubin, header->e_shoff + skip);
        if (!section) {
            return {};
        }
        sections.push_back({{}, *section});
    }
    if (header->e_shstrndx < sections.size()) {
        const auto names = contents(cubin, sections[header->e_shstrndx].header);
        for (Section& section : sections) {
            section.name = text_at(names, section.header.sh_name);
        }
    }
    return sections;
}

const Section* find_section(const std::vector<Section>& sections, std::string_view name) {
    const auto found = std::find_if(sections.begin(), sections.end(),
                                    [&](const Section& one) { return one.name == name; });
    return found != sections.end() ? &*found : nullptr;
}

// .nv.info holds, for each kernel, a record {format 4, attribute 0x2f, size 8, symbol index,
// registers}. Older cubins also have the number in the upper byte of .text.<kernel>'s sh_info;
// those for sm_90 and newer have not.
std::int64_t registers_of(std::span<const std::byte> cubin, const std::vector<Section>& sections,
                          std::string_view kernel) {
    constexpr std::uint8_t kSizedValue = 4;
    constexpr std::uint8_t kRegisterCount = 0x2f;
    const Section* info = find_section(sections, ".nv.info");
    const Section* symbols = find_section(sections, ".symtab");
    if (info == nullptr || symbols == nullptr || symbols->header.sh_link >= sections.size()) {
        return -1;
    }
    const auto names = contents(cubin, sections[symbols->header.sh_link].header);
    const auto table = contents(cubin, symbols->header);
    auto records = contents(cubin, info->header);
    struct Head {
        std::uint8_t format;
        std::uint8_t attribute;
        std::uint16_t value_or_size;
    };
    while (const auto head = read<Head>(records, 0)) {
        // Other formats hold their value in the head itself.
        const std::size_t size = head->format == kSizedValue ? head->value_or_size : 0;
        if (head->format == kSizedValue && head->attribute == kRegisterCount) {
            const auto symbol = read<std::uint32_t>(records, sizeof(Head));
            const auto count = read<std::uint32_t>(records, sizeof(Head) + sizeof(std::uint32_t));
            const auto entry =
                symbol ? read<Elf64_Sym>(table, std::uint64_t{*symbol} * sizeof(Elf64_Sym))
                       : std::nullopt;
            if (entry && count && text_at(names, entry->st_name) == kernel) {
                return *count;
            }
        }
        records = records.subspan(std::min(sizeof(Head) + size, records.size()));
    }
    return -1;
}

std::int64_t shared_bytes_of(const std::vector<Section>& sections, std::string_view kernel) {
    // From sm_90 on the section also counts the 1 KiB that CUDA keeps for itself in every block.
    constexpr std::uint64_t kReserved = 1024;
    const Section* shared = find_section(sections, ".nv.shared." + std::string(kernel));
    if (shared == nullptr) {
        return 0;
    }
    std::uint64_t size = shared->header.sh_size;
    if (find_section(sections, ".nv.shared.reserved.0") != nullptr) {
        if (size < kReserved) {
            return -1;
        }
        size -= kReserved;
    }
    // A thousand times what any GPU has: a damaged header, not a size.
    constexpr std::uint64_t kImplausible = std::uint64_t{1} << 28U;
    return size < kImplausible ? static_cast<std::int64_t>(size) : -1;
}

}  // namespace

std::vector<KernelFacts> read_cubin_facts(std::span<const std::byte> cubin) {
    constexpr std::string_view kText = ".text.";
    const std::vector<Section> sections = read_sections(cubin);
    std::vector<KernelFacts> facts;
    for (const Section& section : sections) {
        if (section.name.starts_with(kText) && section.name.size() > kText.size()) {
            const std::string_view kernel = section.name.substr(kText.size());
            facts.push_back({std::string(kernel), registers_of(cubin, sections, kernel),
                             shared_bytes_of(sections, kernel)});
        }
    }
    return facts;
}

}  // namespace opforge::builder
