# What every batch script here does, to be sourced by it from the root of the repository: check, train,
# stop in time, requeue. docs/slurm.md tells the whole story.
#
#   mtrain_job DEFAULT_DECK [DECK] [key=value ...]
#
# Variables: MTRAIN (the program, ./mtrain), LAUNCHER (srun or mpirun), CHAIN=yes (do not requeue: the
# next job of a chain goes on), DOCTOR=yes (mtrain --doctor on all ranks first), GPU (as mtrain --gpu takes
# it; by itself what this node's first GPU has), ALLOW_OOM=yes (start even where the plan says that memory
# will not do). slurm/site.sh, where there is one, loads this cluster's modules first.
# shellcheck shell=bash

readonly kStopped=85 # mtrain: stopped by request with a checkpoint, start me again
readonly kFault=2    # mtrain: a fault in what the user gave

say() { echo "slurm: [$(date '+%F %T')] $*"; }

# Words of the command that starts $1 processes of what follows it.
launcher() {
  case ${LAUNCHER-srun} in
    # A rank that ended leaves the others 5 s. Ranks share the cores of their node by themselves.
    srun) echo "srun --mpi=pmix --ntasks=$1 --cpu-bind=none --wait=5" ;;
    mpirun) echo "mpirun -np $1 --bind-to none" ;;
    *)
      say "LAUNCHER=$LAUNCHER is unknown: use srun or mpirun" >&2
      return 1
      ;;
  esac
}

# Every node must have program and deck, or the ranks would fail one by one without saying where.
check_nodes() {
  srun --mpi=none --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 bash -c '
    fail() { echo "slurm: node ${SLURMD_NODENAME}: $1" >&2; exit 1; }
    [[ -r $2 ]] || fail "cannot read the deck $2 in $PWD (is the folder shared?)"
    missing=$(ldd "$(command -v "$1")" 2>&1 | grep -E "not found|No such file") &&
      fail "$1 cannot start: $missing"
    command -v "$1" >/dev/null || fail "there is no program $1 in $PWD"' \
    check "$mtrain" "$1"
}

# The GPU to plan for: only its memory matters here, so any will do as the rest.
gpu_here() {
  local memory
  memory=$(nvidia-smi --id=0 --query-gpu=memory.total --format=csv,noheader,nounits 2>/dev/null)
  [[ ! $memory =~ ^[0-9]+$ ]] || echo "h200:memory=${memory}MiB"
}

# Deck, model files, data, layout, memory; by one process that must not take itself for one of a step's.
check_deck() {
  local ranks=$SLURM_NTASKS gpu=${GPU:-$(gpu_here)} flags=(--check) report
  [[ -z $gpu ]] || flags+=(--gpu "$gpu")
  [[ ${ALLOW_OOM-no} == no ]] || flags+=(--allow-oom)
  if ! report=$(unset "${!SLURM_@}" && "$mtrain" "$@" "${flags[@]}" --world-size "$ranks" 2>&1); then
    echo "$report" >&2
    return 1
  fi
}

# Libraries, machines and the links between all ranks of the job.
examine() { $(launcher "$SLURM_NTASKS") "$mtrain" --doctor; }

# SIGUSR1 is Slurm's warning (--signal) before the time limit or a pre-emption; SIGTERM comes from a
# person: scancel --batch --signal=TERM. Either way the ranks get SIGUSR1: mpirun does not pass TERM on.
ask_to_stop() {
  asked=$1
  say "SIG$1: the run saves at the end of its step"
  [[ -z $run ]] || kill -USR1 "$run" 2>/dev/null
}

# Starts the ranks and waits for them; wait returns early for each signal.
train() {
  local start code
  start=$(launcher "$SLURM_NTASKS") || return $kFault
  $start "$mtrain" "$@" &
  run=$!
  while wait "$run"; code=$?; kill -0 "$run" 2>/dev/null; do :; done
  # Too early for the program to take the signal: nothing is lost.
  [[ $asked == no || $code -ne $((128 + $(kill -l USR1))) ]] || code=$kStopped
  return "$code"
}

# RUNNING, or what Slurm is making of the job: it requeues what it pre-empts by itself.
state() { scontrol -o show job "$SLURM_JOB_ID" | grep -o ' JobState=[A-Z]*' | cut -d= -f2; }

# requeue WHY: another start of this job, from the newest checkpoint.
requeue() {
  if [[ ${CHAIN-no} == yes ]]; then
    say "$1; the next job of the chain goes on"
  elif [[ $asked == TERM || $(state) != RUNNING ]]; then
    say "$1, for good: submitting the job again goes on"
  else
    # The requeue ends this script, by SIGTERM: one that ended by itself before would have failed.
    trap exit TERM
    if (trap '' TERM && exec scontrol requeue "$SLURM_JOB_ID"); then
      say "$1; requeued"
      sleep 300 &
      wait
    else
      say "$1, but this job may not be requeued: submit it again"
    fi
  fi
}

# False when a node is lost, which Slurm itself notices only after its SlurmdTimeout.
nodes_answer() {
  timeout 60 srun --mpi=none --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 true
}

mtrain_job() {
  local deck=$1 code run='' asked=no
  shift
  trap 'ask_to_stop USR1' USR1
  trap 'ask_to_stop TERM' TERM
  if [[ $# -gt 0 && $1 != *=* ]]; then
    deck=$1
    shift
  fi
  [[ ! -e slurm/site.sh ]] || source slurm/site.sh
  local mtrain=${MTRAIN:-./mtrain}
  say "start $((${SLURM_RESTART_COUNT:-0} + 1)) of job $SLURM_JOB_ID: $deck on $SLURM_NTASKS ranks," \
    "$SLURM_JOB_NUM_NODES nodes ($SLURM_JOB_NODELIST)"
  check_nodes "$deck" && check_deck "$deck" "$@" || exit $kFault
  [[ ${DOCTOR-no} == no ]] || examine || exit 1
  train "$deck" "$@"
  code=$?
  say "mtrain ended with $code"
  case $code in
    0 | "$kFault") ;;
    "$kStopped") requeue "stopped with a checkpoint" ;;
    *) nodes_answer || requeue "a node of the job does not answer" ;;
  esac
  exit "$code"
}
