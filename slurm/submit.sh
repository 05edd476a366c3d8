#!/usr/bin/env bash
# Submits a batch script with the resources that its deck's layout needs, once or as a chain.
#
#   slurm/submit.sh [OPTION]... SCRIPT DECK [key=value ...] [-- SBATCH_OPTION ...]
#
#   --replicas N     data-parallel copies: N times the ranks the layout needs at least (default 1)
#   --per-node N     ranks on a node, one for each GPU (default 8)
#   --cpu            the nodes have no GPUs
#   --chain N        N jobs, each starts when the one before has ended and goes on from its checkpoint;
#                    for clusters where jobs may not be requeued
#   --dry-run        prints the sbatch command only
#
# To be run from the root of the repository. MTRAIN and LAUNCHER are passed on to the job, see job.sh.
set -euo pipefail

usage() {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

number() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || { echo "submit: $1 needs a whole number from 1 on, not '$2'" >&2; exit 2; }
  echo "$2"
}

replicas=1 per_node=8 chain=0 gpus=yes run=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --replicas)
      replicas=$(number "$1" "${2-}")
      shift
      ;;
    --per-node)
      per_node=$(number "$1" "${2-}")
      shift
      ;;
    --chain)
      chain=$(number "$1" "${2-}")
      shift
      ;;
    --cpu) gpus=no ;;
    --dry-run) run=(echo) ;;
    -*) usage ;;
    *) break ;;
  esac
  shift
done
[[ $# -ge 2 ]] || usage
script=$1
shift
words=()
while [[ $# -gt 0 && $1 != -- ]]; do
  words+=("$1")
  shift
done
[[ $# -eq 0 ]] || shift

smallest=$("${MTRAIN:-./mtrain}" "${words[@]}" --ranks)
ranks=$((smallest * replicas))
nodes=$(((ranks + per_node - 1) / per_node))
if ((ranks % nodes != 0)); then
  echo "submit: $ranks ranks do not fill $nodes nodes evenly; give --per-node a divisor of $ranks" >&2
  exit 2
fi
options=("--nodes=$nodes" "--ntasks-per-node=$((ranks / nodes))")
[[ $gpus == no ]] && options+=(--gpus-per-node=0) || options+=("--gpus-per-node=$((ranks / nodes))")

if ((chain == 0)); then
  "${run[@]}" sbatch "${options[@]}" "$@" "$script" "${words[@]}"
else
  # Jobs of one name and user run one after the other, however the one before ended.
  name="$(basename "$script" .sbatch)-$(basename "${words[0]}" | sed 's/\.[a-z]*$//')"
  for ((i = 0; i < chain; ++i)); do
    CHAIN=yes "${run[@]}" sbatch "${options[@]}" --job-name="$name" --dependency=singleton "$@" \
      "$script" "${words[@]}"
  done
fi
