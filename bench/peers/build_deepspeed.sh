#!/usr/bin/env bash
# DeepSpeed's own quantizer kernels from its PyPI sdist as a shared object for
# `opforge-bench-kernels --deepspeed`. Its kernels are compiled as they are; of its headers only context.h,
# which asks PyTorch, cuBLAS and cuRAND for what these kernels do not use, is replaced in the unpacked copy.
#   bench/peers/build_deepspeed.sh FOLDER [SDIST.tar.gz] [ARCH]
#   FOLDER: where to build; the result is FOLDER/deepspeed_quantizer.so. Keep it outside of the repository.
#   SDIST: default: downloaded by pip. ARCH: as nvcc's -arch takes it; default: native
# The nvcc of $CUDA_HOME, else of PATH, else of /usr/local/cuda.
set -euo pipefail

# The last releases with the kernels behind ds_quantizer and LoCo; 0.19 has neither.
version=0.18.3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "build_deepspeed: $*" >&2; exit 1; }

case "${1-}" in
    ""|-h|--help) sed -n '2,8p' "${BASH_SOURCE[0]}" | cut -c3-; [ -n "${1-}" ]; exit ;;
esac
[ $# -le 3 ] || die "expected FOLDER [SDIST.tar.gz] [ARCH], got $# arguments"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
sdist=${2-}
arch=${3-native}

nvcc=
for candidate in "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then nvcc=$candidate; break; fi
done
[ -n "$nvcc" ] || die "no nvcc: set CUDA_HOME, or put nvcc into PATH"

if [ -z "$sdist" ]; then
    sdist=$folder/deepspeed-$version.tar.gz
    [ -f "$sdist" ] || python3 -m pip download -q --no-binary :all: --no-deps -d "$folder" "deepspeed==$version"
fi
[ -f "$sdist" ] || die "$sdist: no such file"

source=$folder/source
rm -rf "$source"
mkdir "$source"
tar -xzf "$sdist" -C "$source" --strip-components=1
sources=(fake_quantizer quantize dequantize swizzled_quantize quant_reduce)
for name in "${sources[@]}"; do
    [ -f "$source/csrc/quantization/$name.cu" ] ||
        die "$sdist has no csrc/quantization/$name.cu; a release up to $version is needed"
done
cat > "$source/csrc/includes/context.h" <<'HEADER'
#pragma once
#include <cuda_runtime.h>
#include <cassert>
#include <cstdint>
#include <iostream>
#include <utility>
#define WARP_SIZE 32
class TrainingContext {
public:
    static TrainingContext& Instance() {
        static TrainingContext context;
        return context;
    }
    std::pair<uint64_t, uint64_t> IncrementOffset(uint64_t by) {
        const uint64_t offset = offset_;
        offset_ += by;
        return {42, offset};
    }

private:
    uint64_t offset_ = 0;
};
HEADER
echo '#pragma once' > "$source/csrc/includes/cublas_wrappers.h"

# What DeepSpeed's builder passes, as far as it concerns these sources.
flags=(-O3 -std=c++17 --use_fast_math -arch="$arch" -Xcompiler -fPIC -DBF16_AVAILABLE -w
    -U__CUDA_NO_HALF_OPERATORS__ -U__CUDA_NO_HALF_CONVERSIONS__ -U__CUDA_NO_HALF2_OPERATORS__
    -I "$source/csrc/includes")
# cuRAND's headers: the toolkit's, else those of Python's packages, where that is how CUDA got here.
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
if ! compgen -G "$toolkit/include/curand_kernel.h" > /dev/null &&
    ! compgen -G "$toolkit/targets/*/include/curand_kernel.h" > /dev/null; then
    extra=$(python3 -c 'import glob, os, sys
print(next((d for p in sys.path for d in glob.glob(os.path.join(p, "nvidia", "*", "include"))
            if os.path.exists(os.path.join(d, "curand_kernel.h"))), ""))')
    [ -n "$extra" ] || die "no curand_kernel.h, neither in $toolkit nor in Python's packages"
    flags+=(-I "$extra")
fi

started=$SECONDS
declare -A running
for name in "${sources[@]}"; do
    "$nvcc" "${flags[@]}" -c "$source/csrc/quantization/$name.cu" -o "$folder/$name.o" &
    running[$name]=$!
done
"$nvcc" "${flags[@]}" -c "$here/deepspeed.cu" -o "$folder/deepspeed.o" &
running[deepspeed]=$!
failed=()
for name in "${!running[@]}"; do
    if wait "${running[$name]}"; then
        echo "build_deepspeed: $name.cu: done after $((SECONDS - started)) s" >&2
    else
        failed+=("$name.cu")
    fi
done
[ ${#failed[@]} -eq 0 ] || die "nvcc failed on ${failed[*]}; its messages are above"
objects=("${sources[@]/#/$folder/}")
"$nvcc" -shared -arch="$arch" -cudart static "${objects[@]/%/.o}" "$folder/deepspeed.o" -o "$folder/deepspeed_quantizer.so.new"
mv "$folder/deepspeed_quantizer.so.new" "$folder/deepspeed_quantizer.so"
echo "$folder/deepspeed_quantizer.so"
