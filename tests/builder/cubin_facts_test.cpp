#include "cubin_facts.hpp"
#include "fake_elf.hpp"

#include <opforge/base/bytes.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace opforge;
using namespace opforge::builder;

namespace {

struct Kernel {
    std::string name;
    std::uint32_t registers;
    std::uint64_t shared_bytes;
};

// A cubin with the sections that matter, in the order that NVRTC writes them.
std::string fake_cubin(const std::vector<Kernel>& kernels, bool reserves_shared) {
    std::vector<std::pair<std::string, Elf64_Shdr>> sections(1);
    std::string body(sizeof(Elf64_Ehdr), '\0');
    const auto add = [&](const std::string& name, Elf64_Word type, const std::string& bytes) {
        Elf64_Shdr section{};
        section.sh_type = type;
        section.sh_offset = body.size();
        section.sh_size = bytes.size();
        body += bytes;
        sections.emplace_back(name, section);
    };
    std::string names(1, '\0');
    std::string symbols(sizeof(Elf64_Sym), '\0');
    std::string info;
    for (const Kernel& kernel : kernels) {
        // Ahead of the count, records of both formats: they must be stepped over.
        info += std::string("\x03\x1b\x00\x00", 4) + std::string("\x04\x11\x08\x00", 4) +
                std::string(8, '\x01');
        info += std::string("\x04\x2f\x08\x00", 4);
        test::append_object(info, static_cast<std::uint32_t>(symbols.size() / sizeof(Elf64_Sym)));
        test::append_object(info, kernel.registers);
        Elf64_Sym symbol{};
        symbol.st_name = static_cast<Elf64_Word>(names.size());
        names += kernel.name + '\0';
        test::append_object(symbols, symbol);
    }
    add(".strtab", SHT_STRTAB, names);
    add(".symtab", SHT_SYMTAB, symbols);
    sections.back().second.sh_link = 1;
    add(".nv.info", SHT_LOPROC, info);
    for (const Kernel& kernel : kernels) {
        add(".text." + kernel.name, SHT_PROGBITS, "code");
        if (kernel.shared_bytes > 0) {
            add(".nv.shared." + kernel.name, SHT_NOBITS, "");
            sections.back().second.sh_size = kernel.shared_bytes;
        }
    }
    if (reserves_shared) {
        add(".nv.shared.reserved.0", SHT_NOBITS, "");
    }
    std::string section_names(1, '\0');
    for (auto& [name, section] : sections) {
        section.sh_name = static_cast<Elf64_Word>(section_names.size());
        section_names += name + '\0';
    }
    add(".shstrtab", SHT_STRTAB, section_names);
    sections.back().second.sh_name = 0;
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_machine = EM_CUDA;
    header.e_shoff = body.size();
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<Elf64_Half>(sections.size());
    header.e_shstrndx = static_cast<Elf64_Half>(sections.size() - 1);
    std::memcpy(body.data(), &header, sizeof header);
    for (const auto& [name, section] : sections) {
        test::append_object(body, section);
    }
    return body;
}

}  // namespace

TEST_CASE("a cubin tells each kernel's registers and shared memory", "[cubin]") {
    const std::string cubin = fake_cubin({{"first", 32, 512}, {"second", 255, 0}}, false);
    const auto facts = read_cubin_facts(as_bytes(cubin));
    REQUIRE(facts.size() == 2);
    CHECK(facts[0].name == "first");
    CHECK(facts[0].registers == 32);
    CHECK(facts[0].static_shared_bytes == 512);
    CHECK(facts[1].name == "second");
    CHECK(facts[1].registers == 255);
    CHECK(facts[1].static_shared_bytes == 0);
}

TEST_CASE("what CUDA reserves for itself is not a kernel's shared memory", "[cubin]") {
    const std::string cubin = fake_cubin({{"kernel", 12, 1536}, {"odd", 12, 512}}, true);
    const auto facts = read_cubin_facts(as_bytes(cubin));
    REQUIRE(facts.size() == 2);
    CHECK(facts[0].static_shared_bytes == 512);
    CHECK(facts[1].static_shared_bytes == -1);
}

TEST_CASE("what is no cubin has no kernels", "[cubin]") {
    CHECK(read_cubin_facts({}).empty());
    CHECK(read_cubin_facts(as_bytes(".version 9.0\n.entry k(")).empty());
    CHECK(read_cubin_facts(as_bytes(test::fake_library("12345678"))).empty());
}

TEST_CASE("a cubin cut off anywhere, or with any byte damaged, is read without harm", "[cubin]") {
    const std::string whole = fake_cubin({{"first", 32, 512}, {"second", 40, 2048}}, true);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK(read_cubin_facts(as_bytes(whole.substr(0, size))).size() <= 2);
    }
    for (std::size_t place = 0; place < whole.size(); ++place) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            std::string damaged = whole;
            damaged[place] = static_cast<char>(damaged[place] ^ flip);
            for (const KernelFacts& facts : read_cubin_facts(as_bytes(damaged))) {
                CHECK(facts.static_shared_bytes >= -1);
            }
        }
    }
}
