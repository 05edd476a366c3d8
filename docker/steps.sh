#!/usr/bin/env bash
# What the images of docker/ and slurm/mtrain.def do, step by step, so that a chroot can do the same.
#
#   docker/steps.sh build [cuda]         installs what a build needs and builds, in this folder
#   docker/steps.sh collect IMAGE [cuda] copies programs, their libraries that are no Debian packages, decks and
#                                        batch scripts to IMAGE/opt/mtrain, with the list of packages they need
#   docker/steps.sh runtime              inside the small system that holds /opt/mtrain: installs that list
set -euo pipefail
readonly action=${1-} kHome=/opt/mtrain

install() {
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
}

build() {
  install make git ca-certificates
  make ${1:+BUILD=$1}
}

# Every library the programs load, one path a line; plug-ins of MPI come with its package.
libraries() { ldd "$1"/bin/* | sed -n 's/.* => \(\/[^ ]*\) (.*/\1/p' | sort -u; }

collect() {
  local home=$1$kHome folder=build${2:+-$2} library
  mkdir -p "$home/bin" "$home/lib"
  cp "$folder"/bin/m* "$home/bin/"
  strip "$home"/bin/*
  cp -r inputs slurm LICENSE docker/steps.sh "$home/"
  libraries "$home" | while read -r library; do
    case $library in
      */.deps/*) cp -L "$library" "$home/lib/" ;;
      *) dpkg-query -S "$(realpath "$library")" 2>/dev/null || dpkg-query -S "${library#/usr}" ;;
    esac
  done | sed -n 's/^\([^:]*\):.*/\1/p' | sort -u >"$home/packages.txt"
  # LibTorch opens these by name when it finds a GPU.
  [[ ${2-} != cuda ]] || cp -L .deps/libtorch-cuda/nvidia/*/lib/*.so.* "$home/lib/"
}

runtime() {
  install $(<$kHome/packages.txt) openmpi-bin openssh-client
  echo $kHome/lib >/etc/ld.so.conf.d/mtrain.conf
  ldconfig
  local program
  for program in $kHome/bin/*; do
    ln -s "$program" /usr/local/bin/
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$program" --help >/dev/null
  done
}

cd "$(dirname "$0")/.."
case $action in
  build) build "${2-}" ;;
  collect) collect "$2" "${3-}" ;;
  runtime) runtime ;;
  *)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
