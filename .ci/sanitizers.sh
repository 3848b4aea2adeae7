# shellcheck shell=bash
# Builds and tests a preset with sanitizers. To be sourced after tools/bootstrap.sh.

# test_sanitized PRESET
test_sanitized() {
    # The sanitizers of GCC 12 and clang 14 place their shadow memory where a kernel that randomises addresses by more than
    # 28 bits may have put something else, and then end at start (google/sanitizers issue 1716).
    local still=()
    if [[ $(cat /proc/sys/vm/mmap_rnd_bits 2> /dev/null || echo 0) -gt 28 ]] && setarch -R true 2> /dev/null; then
        still=(setarch -R)
    fi
    # The build needs it as well: it runs the test programs, to list their tests.
    build_preset "$1" "${still[@]}"
    say "testing the preset $1"
    "${still[@]}" ctest --preset "$1" --parallel "$(nproc)"
}
