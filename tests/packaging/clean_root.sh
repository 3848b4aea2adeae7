#!/usr/bin/env bash
# As a new user would: a clean Debian root, opforge's .deb files and an NVRTC wheel, a ten-line program with find_package(opforge):
# builds, prewarms for sm_90 without a GPU, runs ds_quantizer on the host.
#
#   clean_root.sh BUILD_FOLDER [ROOT]
#
# Needs root, debootstrap (or a ROOT that is a Debian 12 with nothing of opforge's), Debian's and PyPI's registries. ROOT is made
# if it is not there, and kept: a second run is quick. Exit code 77 where the machine cannot do this.
set -euo pipefail

build=$(realpath "${1:?usage: clean_root.sh BUILD_FOLDER [ROOT]}")
root=${2:-$(mktemp -d)/root}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

skip() {
    echo "SKIPPED: $*"
    exit 77
}

in_root() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

[[ $(id -u) == 0 ]] || skip "root is needed for chroot"
if [[ ! -x $root/usr/bin/dpkg ]]; then
    command -v debootstrap > /dev/null || skip "debootstrap is not installed"
    # The machine's own mirror, in either of the two formats; a file may be missing.
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null |
        sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | head -n 1) || true
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "${mirror:-http://deb.debian.org/debian}" \
        > "$root.log" 2>&1 || skip "debootstrap failed: $(tail -n 1 "$root.log")"
fi
# The machine's own way to the registries.
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2> /dev/null || true
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2> /dev/null || true
cp /etc/pip.conf "$root/etc/" 2> /dev/null || true
mkdir -p "$root/usr/local/share/ca-certificates"
cp /usr/local/share/ca-certificates/* "$root/usr/local/share/ca-certificates/" 2> /dev/null || true
in_root update-ca-certificates > /dev/null 2>&1 || true
# Nothing of the kernel's that Debian's packages need but /proc and /dev/null.
mkdir -p "$root/proc" && mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" 2> /dev/null || true
trap 'umount "$root/proc" 2> /dev/null || true' EXIT

echo "clean_root: packages"
packages=$root/opforge-packages
rm -rf "$packages" && mkdir -p "$packages"
(cd "$build" && cpack --config CPackConfig.cmake -B "$packages" > "$packages/cpack.log") ||
    { cat "$packages/cpack.log"; exit 1; }
in_root apt-get -qq update
in_root apt-get -qq -y --no-install-recommends install cmake g++ make python3-pip > "$packages/apt.log" 2>&1 ||
    { tail -n 5 "$packages/apt.log"; skip "apt-get cannot reach its registry from the root"; }
in_root sh -c 'apt-get -qq -y --no-install-recommends install /opforge-packages/*.deb' > "$packages/apt.log" 2>&1 ||
    { cat "$packages/apt.log"; exit 1; }
in_root python3 -m pip install --quiet --break-system-packages --root-user-action=ignore --no-deps 'nvidia-cuda-nvrtc==13.0.*' ||
    skip "pip cannot reach its registry from the root"

echo "clean_root: build"
rm -rf "$root/app" && cp -r "$source/examples/embed" "$root/app"
in_root cmake -S /app -B /app/build > "$packages/cmake.log" || { cat "$packages/cmake.log"; exit 1; }
in_root cmake --build /app/build

echo "clean_root: prewarm and run"
in_root opforge prewarm --arch sm_90 --cache-dir /app/kernels
in_root env OPFORGE_POLICY=offline opforge prewarm --arch sm_90 --cache-dir /app/kernels
output=$(in_root /app/build/embed)
echo "$output"
[[ $output == "-2.00001 -1 -0.500001 0 0.250001 0.750002 1.5 1.75"* ]]

in_root sh -c 'apt-get -qq -y purge libopforge-dev opforge-tools libopforge0' > /dev/null
left=$(in_root find /usr -iname '*opforge*')
[[ -z $left ]] || { echo "left behind after purge: $left"; exit 1; }
echo "clean_root: ok"
