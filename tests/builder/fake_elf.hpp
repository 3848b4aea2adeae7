// Shared libraries that are headers and a build-id only: enough to be found and told apart, never
// opened.
#pragma once

#include "support/temporary_directory.hpp"

#include <elf.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

namespace opforge::test {

#if defined(__aarch64__)
inline constexpr Elf64_Half kOwnMachine = EM_AARCH64;
#else
inline constexpr Elf64_Half kOwnMachine = EM_X86_64;
#endif

template <typename T>
void append_object(std::string& bytes, const T& object) {
    bytes.append(reinterpret_cast<const char*>(&object), sizeof object);
}

/// An ELF shared library with this build-id (raw bytes; empty: none) and some filling behind it.
inline std::string fake_library(std::string_view build_id, Elf64_Half machine = kOwnMachine,
                                std::string_view filling = "") {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
    header.e_machine = machine;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    std::string notes;
    // Another note first, as linkers leave them: it must be stepped over.
    append_object(notes, Elf64_Nhdr{4, 5, NT_GNU_ABI_TAG});
    notes.append("GNU\0abcde\0\0\0", 12);
    if (!build_id.empty()) {
        append_object(notes,
                      Elf64_Nhdr{4, static_cast<Elf64_Word>(build_id.size()), NT_GNU_BUILD_ID});
        notes.append("GNU\0", 4).append(build_id);
    }
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
    note.p_filesz = notes.size();
    std::string bytes;
    append_object(bytes, header);
    append_object(bytes, load);
    append_object(bytes, note);
    return bytes.append(notes).append(filling);
}

/// libnvrtc.so.<major> and libnvrtc-builtins.so.<major>.<minor> in `folder`, which is made.
inline void plant_nvrtc(const std::filesystem::path& folder, int major, int minor,
                        const std::string& tag = "") {
    std::filesystem::create_directories(folder);
    write_file(folder / ("libnvrtc.so." + std::to_string(major)),
               fake_library("lib" + tag + std::to_string(major) + std::to_string(minor)));
    write_file(folder /
                   ("libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)),
               fake_library("built" + tag + std::to_string(major) + std::to_string(minor)));
}

}  // namespace opforge::test
