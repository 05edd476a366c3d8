#!/usr/bin/env bash
# Tries a fresh clone of this repository in an empty Debian system, as a new user would meet it.
#
#   sudo scripts/try_in_chroot.sh FOLDER [COMMAND...]     default: "make demo" "make test"
#
# FOLDER is filled by debootstrap when it is empty, else reused with all it holds (the clone is
# always made anew from the last commit; downloads in .deps stay). SUITE=trixie takes Debian 13,
# MIRROR= another Debian mirror, MOUNTS=yes also gives it /proc, /sys and /dev/shm. The time of each
# command is printed.
#
#   sudo IMAGE=COLLECTED scripts/try_in_chroot.sh FOLDER
#
# tries an image of docker/ instead of a clone: COLLECTED is what `docker/steps.sh collect COLLECTED` made, here
# or in another chroot. Commands then run in /opt/mtrain; by default two ranks train the demo for 25 steps.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"; exit 2; }
[[ $# -ge 1 && $1 != -* ]] || usage
[[ $(id -u) -eq 0 ]] || { echo "chroot needs root" >&2; exit 1; }
readonly root=$1
shift
readonly kTrain="mpirun --allow-run-as-root --oversubscribe -np 2 mtrain inputs/demo.ini max_steps=25 \
  pipeline_model_parallel_size=1 overlap_p2p_comm=false output_dir=/tmp/out"
if [[ $# -eq 0 ]]; then
  if [[ -n ${IMAGE-} ]]; then set -- "./steps.sh runtime" "$kTrain"; else set -- "make demo" "make test"; fi
fi

# inside COMMAND...: runs it in the chroot with none of this shell's settings but network ones.
inside() {
  local settings=()
  mapfile -t settings < <(env | grep -iE '^(PIP_|(http|https|ftp|no)_proxy=)' || true)
  env -i HOME=/root TERM="${TERM-dumb}" PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${settings[@]+"${settings[@]}"} chroot "$root" "$@"
}

make_system() {
  [[ ! -e $root/etc/debian_version ]] || return 0
  debootstrap --variant=minbase --include=ca-certificates "${SUITE-bookworm}" "$root" \
    "${MIRROR-http://deb.debian.org/debian}"
  cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
  inside update-ca-certificates
  [[ ! -e /etc/pip.conf ]] || cp /etc/pip.conf "$root/etc/pip.conf"
  cp /etc/hosts "$root/etc/hosts"
  [[ -z ${IMAGE-} ]] || return 0
  inside apt-get update -q
  inside apt-get install -q -y --no-install-recommends git make
}

lay_image() {
  rm -rf "$root/opt/mtrain" "$root"/usr/local/bin/m{train,prep,convert}
  cp -r "$IMAGE/." "$root/"
}

make_clone() {
  rm -rf "$root/mtrain.deps"
  [[ ! -d $root/mtrain/.deps ]] || mv "$root/mtrain/.deps" "$root/mtrain.deps"
  rm -rf "$root/mtrain"
  git -c safe.directory='*' clone -q --no-hardlinks . "$root/mtrain"
  [[ ! -d $root/mtrain.deps ]] || mv "$root/mtrain.deps" "$root/mtrain/.deps"
}

unmount_all() {
  local place
  for place in dev/shm sys proc; do
    ! mountpoint -q "$root/$place" || umount "$root/$place"
  done
}

mount_all() {
  trap unmount_all EXIT
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t tmpfs tmpfs "$root/dev/shm"
}

make_system
place=/mtrain
if [[ -n ${IMAGE-} ]]; then lay_image && place=/opt/mtrain; else make_clone; fi
[[ ${MOUNTS-no} == no ]] || mount_all
for command in "$@"; do
  begin=$SECONDS
  echo "== $command"
  inside bash -c "cd $place && $command"
  echo "== $command: $((SECONDS - begin)) s"
done
