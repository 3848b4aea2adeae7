#!/usr/bin/env bash
# Coverage of cache/ by the tests, suites of faults included, and its floor: 95 % of lines and 85 % of branches (those of
# exceptions and those that cannot be reached left out). Prints what is not covered.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/bootstrap.sh

prepare
install_packages gcovr

say "building the preset coverage in build/coverage"
cmake --preset coverage "${cuda_options[@]}" >&2
cmake --build --preset coverage --parallel "$(nproc)" --target cache_tests reliability_tests base_tests >&2
find build/coverage -name '*.gcda' -delete
# Of the suites, those whose size is time (soak, churn, swapper) add nothing here.
ctest --test-dir build/coverage --parallel "$(nproc)" --output-on-failure --timeout 900 --label-regex '^(cpu|reliability)$' \
    --exclude-regex 'a minute|ten seconds|more than the cap' >&2 || die "tests fail under the preset coverage"

mkdir -p build/release/reliability
gcovr --root . --filter 'cache/' --object-directory build/coverage --exclude-throw-branches --exclude-unreachable-branches \
    --print-summary --txt - --json-summary build/release/reliability/coverage.json --fail-under-line 95 --fail-under-branch 85 build/coverage
