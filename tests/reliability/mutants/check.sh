#!/usr/bin/env bash
# The mutation check: each patch of this folder takes one safeguard out of the cache. In a copy of the tree it is applied and
# built, and the suites are run: they have to go red. A patch that no longer applies, a mutant that no longer builds, and a
# mutant that nothing notices are failures alike.
#
#   tests/reliability/mutants/check.sh [NAME...]    all of them, or those named (01-no-file-sync)
#
# A patch's first lines, before the first "---", say what it breaks and, after "suites:", which tests (a regular expression of
# their names) are expected to notice; those run first, then all others. Leaves build/release/reliability/mutants.json.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
records=$checkout/build/release/reliability
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

say() {
    printf 'mutants: %s\n' "$*" >&2
}

# Tracked files as they are in the working tree, and no build.
(cd "$checkout" && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf -) | tar -xf - -C "$copy"
cd "$copy"

# The lowest folders alone: what the suites link.
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
    '-DOPFORGE_FOLDERS=base;cache' -DOPFORGE_BUILD_TOOLS=OFF -DOPFORGE_BUILD_EXAMPLES=OFF -DOPFORGE_BUILD_BENCH=OFF > /dev/null

build() {
    cmake --build build --parallel "$(nproc)" --target reliability_tests cache_tests > build.log 2>&1
}

# The names of the tests that failed among those that ctest's arguments choose, the first of them at least.
red() {
    (cd build && ctest --stop-on-failure --timeout 300 --parallel "$(nproc)" -LE '^stress$' "$@" 2> /dev/null || true) |
        sed -n 's/^ *[0-9]* - \(.*\) (\(Failed\|Timeout\|SEGFAULT\|SIG[A-Z]*\|Child aborted\|Subprocess aborted\).*)$/\1/p' | head -n 1
}

say "building without a mutant"
build || { cat build.log >&2; say "the tree itself does not build"; exit 1; }
if [[ -n $(red -E 'minute|ten seconds') ]]; then
    say "the suites are red without a mutant"
    exit 1
fi

if [[ $# == 0 ]]; then
    set -- $(cd "$here" && ls ./*.patch | sed 's/^\.\///; s/\.patch$//')
fi
failures=0
mkdir -p "$records"
entries=()
for name in "$@"; do
    patch_file=$here/$name.patch
    about=$(sed -n '1,/^--- /{/^suites:/d;/^--- /d;p}' "$patch_file" | tr '\n' ' ' | sed 's/ *$//')
    suites=$(sed -n 's/^suites: *//p' "$patch_file")
    caught=
    if ! patch --strip=1 --fuzz=1 --quiet --no-backup-if-mismatch --forward < "$patch_file"; then
        say "$name: the patch does not apply any more; make it anew"
        failures=$((failures + 1))
    elif ! build; then
        tail -n 20 build.log >&2
        say "$name: does not build"
        failures=$((failures + 1))
    else
        caught=$(red -R "$suites")
        [[ -n $caught ]] || caught=$(red)
        if [[ -n $caught ]]; then
            say "$name: caught by \"$caught\""
        else
            say "$name: NOT CAUGHT"
            failures=$((failures + 1))
        fi
    fi
    entries+=("$(printf '{"name": "%s", "about": "%s", "caught_by": "%s"}' "$name" "${about//\"/\\\"}" "${caught//\"/\\\"}")")
    # The files that it touched, from the checkout, with a new time stamp.
    for file in $(sed -n 's/^+++ b\///p' "$patch_file"); do
        cp "$checkout/$file" "$file"
        rm -f "$file.rej" "$file.orig"
    done
done
(
    IFS=,
    printf '[%s]\n' "${entries[*]}"
) > "$records/mutants.json"
say "$# mutants, $failures not caught"
[[ $failures == 0 ]]
