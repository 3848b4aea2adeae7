#!/bin/sh
# What the Dockerfile beside this file does, step by step; without arguments, all of it, in a folder of its own. The image it
# makes has the kernels of its GPUs in it: nothing compiles there, and no compiler is needed.
#
#   steps.sh build     builds the program against the installed opforge
#   steps.sh prewarm   compiles its kernels for the GPUs that the image will meet; needs NVRTC, no GPU
#   steps.sh check     that nothing would have to be compiled: exit code 8 where something is missing
#   steps.sh run       what a container of the image does
#
# APP: where the program is put (/app). SOURCE: its source folder. ARCHITECTURES: of the GPUs (8.0,9.0). CMAKE_PREFIX_PATH: where
# opforge is installed, if not in /usr.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
APP=${APP:-/app}
SOURCE=${SOURCE:-$here/../own_op}
ARCHITECTURES=${ARCHITECTURES:-8.0,9.0}

build() {
    cmake -S "$SOURCE" -B "$APP/build" -DCMAKE_BUILD_TYPE=Release
    cmake --build "$APP/build"
    cp "$APP/build/own_op" "$APP/build/own_op_tool" "$APP/"
    rm -r "$APP/build"
}

prewarm() {
    "$APP/own_op_tool" prewarm --arch "$ARCHITECTURES" --cache-dir "$APP/kernels"
}

check() {
    OPFORGE_POLICY=offline "$APP/own_op_tool" prewarm --arch "$ARCHITECTURES" --cache-dir "$APP/kernels"
}

run() {
    OPFORGE_POLICY=offline OPFORGE_CACHE_DIR=$APP/kernels "$APP/own_op"
}

case ${1:-all} in
build | prewarm | check | run) "$1" ;;
all)
    build
    prewarm
    check
    run
    ;;
*)
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
