#!/usr/bin/env bash
# Installs what a build of mtrain needs and is missing: Debian packages, LibTorch, clang-format.
# Called by the Makefile before each build; where nothing is missing it returns at once.
#
#   scripts/setup.sh          for the CPU build
#   scripts/setup.sh --cuda   the same with CUDA: every NVIDIA library that torch asks for, and the
#                             headers of cuDNN's frontend; nvcc itself comes from elsewhere
#   --slurm                   Debian's Slurm too, which only the tests in tests/slurm need
#   --no-packages             leave apt-get out: compiler, MPI, HDF5 ... come from elsewhere
#
# Packages are installed with apt-get (as root, or through sudo). All else goes to .deps/ in this
# repository; the Python of the system or of the user is never changed. pip's own settings
# (PIP_* variables, pip.conf) are respected. A chroot without /proc has no /dev/fd: no <(...) here.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly kTorch=2.11.0
readonly kClangFormat=14.0.6
readonly kCudnnFrontend=1.32.0
# LibTorch is the C++ part of the wheel, so any one Python version will do.
readonly kPython=3.11
readonly kDeps="$PWD/.deps"
readonly kWork="$kDeps/work"

kPackages=(build-essential cmake ninja-build pkg-config python3 python3-venv ca-certificates
  openmpi-bin libopenmpi-dev libhdf5-dev libboost-program-options-dev libboost-test-dev
  libpcre2-dev libutf8proc-dev nlohmann-json3-dev libyaml-cpp-dev)
readonly kSlurm=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge)

say() { echo "setup: $*"; }

fail() {
  echo "setup: error: $1" >&2
  shift
  for line in "$@"; do echo "  $line" >&2; done
  exit 1
}

missing_packages() {
  local package status
  for package in "${kPackages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || echo "$package"
  done
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is not a Debian system. Install the counterparts of these packages:" \
      "${kPackages[*]}" "Then use 'make PACKAGES=no'."
  fi
  local missing
  missing=$(missing_packages)
  [[ -n $missing ]] || return 0
  if [[ $(id -u) -ne 0 ]] && ! command -v sudo >/dev/null; then
    fail "packages are missing, and without sudo only root can install them:" \
      "apt-get install $(echo $missing)" "(or 'make PACKAGES=no' where they come from elsewhere)"
  fi
  say "installing" $missing
  as_root apt-get -o DPkg::Lock::Timeout=300 update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    install -q -y --no-install-recommends $missing
}

# pip runs from a virtual environment that is thrown away afterwards.
open_workbench() {
  rm -rf "$kWork"
  mkdir -p "$kWork/tmp"
  python3 -m venv "$kWork/venv"
}

close_workbench() { rm -rf "$kWork"; }

# fetch_wheels DIR REQUIREMENT...: unpacks wheels, without what they depend on unless asked for.
fetch_wheels() {
  local target=$1 glibc platforms=(--platform "manylinux2014_$(uname -m)")
  shift
  for glibc in {28..5}; do platforms+=(--platform "manylinux_2_${glibc}_$(uname -m)"); done
  # A RAM disk as /tmp may be too small for the 2 GB that unpacking takes.
  TMPDIR="$kWork/tmp" PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    "$kWork/venv/bin/python" -m pip install --target "$target" --only-binary=:all: \
    --implementation cp --python-version "$kPython" "${platforms[@]}" "$@"
}

# The NVIDIA wheels that torch's own metadata asks for, one requirement a line.
torch_requirements() {
  sed -n 's/^Requires-Dist: *\(\(cuda-toolkit\|nvidia-\)[^;]*[^; ]\).*/\1/p' \
    "$kWork/tree/torch-$kTorch.dist-info/METADATA"
}

# libtorch_cpu.so is linked against the CUDA runtime and the profiler, used or not.
fetch_libtorch_cpu() {
  fetch_wheels "$kWork/tree" --no-deps "torch==$kTorch"
  local toolkit
  toolkit=$(torch_requirements | sed -n 's/^cuda-toolkit\[.*\]//p')
  fetch_wheels "$kWork/tree" "cuda-toolkit[cudart,cupti]$toolkit"
  rm -f "$kWork"/tree/torch/lib/{*cuda*,*nvrtc*,*nvshmem*,libtorch.so}
}

fetch_libtorch_cuda() {
  fetch_wheels "$kWork/tree" --no-deps "torch==$kTorch"
  # Split at blanks on purpose; cuda-toolkit brings its parts as dependencies.
  fetch_wheels "$kWork/tree" $(torch_requirements)
}

# Keeps the headers, the libraries, the version and the licences.
drop_python() {
  find "$kWork/tree" -mindepth 1 -maxdepth 1 ! -name torch ! -name nvidia \
    ! -name '*.dist-info' -exec rm -rf {} +
  find "$kWork/tree/torch" -mindepth 1 -maxdepth 1 ! -name include ! -name lib \
    ! -name version.py -exec rm -rf {} +
  rm -rf "$kWork"/tree/torch/lib/{libshm*,libtorch_python*,libtorch_global_deps.so}
}

# install_libtorch FOLDER KIND: KIND is cpu or cuda; an unfinished folder is never left behind.
install_libtorch() {
  local folder="$kDeps/$1" kind=$2 stamp="torch $kTorch $2"
  if [[ -e $folder/torch/lib/libtorch_cpu.so ]]; then
    # Without a stamp the folder (or link) was put there by the user.
    [[ -e $folder/.setup && $(<"$folder/.setup") != "$stamp" ]] || return 0
  fi
  say "fetching LibTorch $kTorch ($kind)"
  open_workbench
  "fetch_libtorch_$kind"
  drop_python
  echo "$stamp" >"$kWork/tree/.setup"
  rm -rf "$folder"
  mv "$kWork/tree" "$folder"
  close_workbench
}

# Headers only; the library behind them came with LibTorch.
install_cudnn_frontend() {
  local folder="$kDeps/cudnn-frontend-$kCudnnFrontend"
  [[ ! -e $folder/include/cudnn_frontend.h ]] || return 0
  say "fetching the headers of cuDNN's frontend $kCudnnFrontend"
  open_workbench
  fetch_wheels "$kWork/tree" --no-deps "nvidia-cudnn-frontend==$kCudnnFrontend"
  rm -rf "$kDeps"/cudnn-frontend-*
  mkdir "$folder"
  mv "$kWork/tree/include" "$kWork"/tree/*.dist-info "$folder"
  close_workbench
}

# The version is fixed because each one formats a little differently.
install_clang_format() {
  local tool="$kDeps/clang-format-$kClangFormat"
  [[ ! -x $tool ]] || return 0
  say "fetching clang-format $kClangFormat"
  open_workbench
  fetch_wheels "$kWork/tree" --no-deps "clang-format==$kClangFormat"
  rm -f "$kDeps"/clang-format-*
  mv "$kWork/tree/clang_format/data/bin/clang-format" "$tool"
  close_workbench
}

main() {
  local cuda=no packages=yes argument
  for argument in "$@"; do
    case "$argument" in
      --cuda) cuda=yes ;;
      --slurm) kPackages+=("${kSlurm[@]}") ;;
      --no-packages) packages=no ;;
      *) fail "unknown argument '$argument'" \
        "usage: scripts/setup.sh [--cuda] [--slurm] [--no-packages]" ;;
    esac
  done
  [[ $packages == no ]] || install_packages
  mkdir -p "$kDeps"
  install_clang_format
  if [[ $cuda == yes ]]; then
    install_libtorch libtorch-cuda cuda
    install_cudnn_frontend
  else
    install_libtorch libtorch cpu
  fi
}

main "$@"
