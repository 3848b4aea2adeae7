#!/usr/bin/env bash
# From a clean clone to a running opforge, on Debian or Ubuntu. A second run installs nothing.
#
#   tools/bootstrap.sh demo   installs what is missing, builds the preset `release`, runs `opforge demo`
#   tools/bootstrap.sh test   installs what is missing, builds the preset `release`, runs its tests
#
# Installed with apt-get, as root or through sudo: the packages below that are missing. Where the machine has no NVRTC or no
# CUDA headers, the PyPI wheels below go into <checkout>/.toolchain, and nothing outside the checkout changes.
# .ci/run takes the functions of this file by `source`.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
toolchain=$checkout/.toolchain
toolchain_cuda=$toolchain/nvidia/cu13
wheels=('nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-runtime==13.0.*')
build_packages=(cmake ninja-build g++ nlohmann-json3-dev libfmt-dev libcli11-dev libssl-dev zlib1g-dev
    libhwy-dev catch2 librapidcheck-dev)

say() {
    printf 'bootstrap: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# True where the package, or for a tool the tool itself from wherever it came, is there.
have_package() {
    local tool=
    case $1 in
    cmake | g++ | python3 | clang-format) tool=$1 ;;
    ninja-build) tool=ninja ;;
    clang-tidy) tool=clang-tidy ;;
    esac
    if [[ -n $tool ]] && command -v "$tool" > /dev/null; then
        return 0
    fi
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2> /dev/null) == installed ]]
}

# The command that runs its arguments as root; dies with the list where there is none.
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo > /dev/null && { sudo -n true 2> /dev/null || [[ -t 0 ]]; }; then
        sudo "$@"
    else
        die "these packages are missing and neither root nor sudo is at hand: ${missing_packages[*]}; have them installed" \
            "(apt-get install ${missing_packages[*]}) and run this again"
    fi
}

install_packages() {
    missing_packages=()
    local package
    for package in "$@"; do
        have_package "$package" || missing_packages+=("$package")
    done
    if [[ ${#missing_packages[@]} == 0 ]]; then
        return
    fi
    if ! command -v apt-get > /dev/null; then
        die "no apt-get here; install these in this system's way, under Debian's names: ${missing_packages[*]}"
    fi
    say "installing with apt-get: ${missing_packages[*]}"
    # A package list that is only partly fresh may still have what is needed: install decides.
    as_root apt-get -qq update < /dev/null >&2 || say "apt-get update failed; going on with the lists at hand"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing_packages[@]}" \
        < /dev/null >&2 || die "apt-get could not install: ${missing_packages[*]}"
}

# The folder of a cuda.h of CUDA 12 or newer with nvrtc.h beside it; nothing where there is none.
cuda_headers() {
    local folder version
    for folder in ${CUDA_PATH:+"$CUDA_PATH/include"} ${CUDA_HOME:+"$CUDA_HOME/include"} /usr/local/cuda/include \
        /usr/local/cuda-*/include /usr/include; do
        if [[ -r $folder/cuda.h && -r $folder/nvrtc.h ]]; then
            version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$folder/cuda.h" | head -n 1)
            if [[ -n $version && $version -ge 12000 ]]; then
                printf '%s\n' "$folder"
                return
            fi
        fi
    done
}

# True where opforge finds an NVRTC by itself.
have_nvrtc() {
    local file
    [[ -n ${OPFORGE_NVRTC_LIBRARY:-} ]] && return 0
    for file in ${CUDA_PATH:+"$CUDA_PATH"/lib64/libnvrtc.so.1[2-9]} ${CUDA_HOME:+"$CUDA_HOME"/lib64/libnvrtc.so.1[2-9]} \
        /usr/local/cuda/lib64/libnvrtc.so.1[2-9] /usr/local/cuda-*/lib64/libnvrtc.so.1[2-9] \
        $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2> /dev/null | sed -n 's/.*libnvrtc\.so\.1[2-9] .*=> //p'); do
        [[ -e $file ]] && return 0
    done
    return 1
}

have_wheels() {
    [[ -r $toolchain_cuda/include/cuda.h && -r $toolchain_cuda/include/nvrtc.h &&
        -r $toolchain_cuda/lib/libnvrtc.so.13 ]]
}

# Leaves `cuda_options` for CMake and, where the wheels' NVRTC is to be used, OPFORGE_NVRTC_LIBRARY.
find_cuda() {
    cuda_options=()
    local headers
    headers=$(cuda_headers)
    if [[ -n $headers ]] && have_nvrtc; then
        return
    fi
    if ! have_wheels; then
        install_packages python3
        python3 -m pip --version > /dev/null 2>&1 || install_packages python3-pip
        say "installing from PyPI into $toolchain: ${wheels[*]}"
        # Into a folder of its own first: an interrupted download must not look like a toolchain.
        rm -rf "$toolchain.partial"
        python3 -m pip install --quiet --no-input --disable-pip-version-check --root-user-action=ignore --no-deps \
            --only-binary=:all: --target "$toolchain.partial" "${wheels[@]}" < /dev/null >&2 ||
            die "pip could not get ${wheels[*]}; install a CUDA toolkit instead, or see pip's message above"
        rm -rf "$toolchain"
        mv "$toolchain.partial" "$toolchain"
        have_wheels || die "the wheels hold no cuda.h, nvrtc.h and libnvrtc.so.13 below $toolchain_cuda"
    fi
    if [[ -z $headers ]]; then
        cuda_options=("-DOPFORGE_CUDA_INCLUDE_DIR=$toolchain_cuda/include"
            "-DOPFORGE_NVRTC_INCLUDE_DIR=$toolchain_cuda/include")
    fi
    if ! have_nvrtc; then
        export OPFORGE_NVRTC_LIBRARY=$toolchain_cuda/lib/libnvrtc.so.13
        say "using the NVRTC in $OPFORGE_NVRTC_LIBRARY"
    fi
}

# Everything that a build needs.
prepare() {
    install_packages "${build_packages[@]}"
    local version
    version=$(cmake --version | sed -n '1s/[^0-9]*//p')
    if [[ $(printf '%s\n' 3.25 "$version" | sort --version-sort | head -n 1) != 3.25 ]]; then
        die "cmake $version ($(command -v cmake)) is too old: the presets need 3.25"
    fi
    find_cuda
}

# build_preset NAME [COMMAND...]: configures and builds; COMMAND, where given, runs the build (it runs test programs).
build_preset() {
    local preset=$1
    shift
    say "building the preset $preset in build/$preset"
    (cd "$checkout" && cmake --preset "$preset" "${cuda_options[@]}" &&
        "$@" cmake --build --preset "$preset" --parallel "$(nproc)") >&2
}

usage() {
    sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

main() {
    case "$#:${1:-}" in
    1:demo | 1:test) ;;
    1:-h | 1:--help)
        usage
        exit 0
        ;;
    *)
        [[ $# == 0 ]] || say "not understood: $*"
        usage >&2
        exit 2
        ;;
    esac
    prepare
    build_preset release
    cd "$checkout"
    case $1 in
    demo) exec build/release/bin/opforge demo ;;
    test) exec ctest --preset release --parallel "$(nproc)" ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
