#!/usr/bin/env bash
# A Slurm of three nodes on this machine, in a folder of its own, for tests: munge, slurmctld and three
# slurmd without systemd or cgroups. Needs the packages of `scripts/setup.sh --slurm`, no root, and
# changes nothing outside the folder. SLURM_CONF=FOLDER/slurm.conf points Slurm's commands to it.
#
#   tests/slurm/cluster.sh start FOLDER    ends with 77 and says why where there is no Slurm
#   tests/slurm/cluster.sh stop FOLDER     ends it with all that runs on it
#   tests/slurm/cluster.sh lose FOLDER n2  ends a node with all that runs on it, as a power cut
#   tests/slurm/cluster.sh node FOLDER n2  starts a node
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
readonly action=$1 folder=$2 node=${3-}
export SLURM_CONF=$folder/slurm.conf
readonly kNodes=(n1 n2 n3)

need() {
  local program
  for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null && continue
    echo "skipped: $program is not installed; scripts/setup.sh --slurm installs Slurm"
    exit 77
  done
  [[ -e /proc/self/stat ]] && return
  echo "skipped: Slurm's daemons do not run without /proc"
  exit 77
}

# Ports of this cluster: base + 0 for slurmctld, + 1 and so on for the nodes.
write_conf() {
  local base=$((20000 + 4 * ($$ % 5000))) i me
  me=$(id -un)
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$folder/cgroup.conf"
  cat >"$SLURM_CONF" <<CONF
ClusterName=mtrain
SlurmctldHost=$(hostname)
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
# A requeued job waits until its old credential has expired.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
SlurmctldPort=$base
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
# One for each node, or PMIx of two nodes collides.
TmpFS=$folder/tmp-%n
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
# A node that is silent for so long is down; one that speaks again is up.
SlurmdTimeout=8
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
MinJobAge=3600
InactiveLimit=0
MpiDefault=none
CONF
  for ((i = 0; i < ${#kNodes[@]}; ++i)); do
    echo "NodeName=${kNodes[i]} NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=$((base + 1 + i))" \
      "CPUs=2 RealMemory=2000 State=UNKNOWN"
  done >>"$SLURM_CONF"
  echo "PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=20 OverSubscribe=NO
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF OverSubscribe=NO" >>"$SLURM_CONF"
}

# From nothing, as a node without disks: Slurm stumbles over what a lost step of the same name left.
start_node() {
  rm -rf "$folder/spool-$1" "$folder/tmp-$1"
  mkdir "$folder/spool-$1" "$folder/tmp-$1"
  slurmd -N "$1"
}

start() {
  need
  mkdir -p "$folder/state"
  chmod 700 "$folder"
  write_conf
  head -c 1024 /dev/urandom >"$folder/munge.key"
  chmod 400 "$folder/munge.key"
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munged.seed" 2>"$folder/munged.err"
  slurmctld -c
  local name
  for name in "${kNodes[@]}"; do start_node "$name"; done
  for _ in $(seq 100); do
    [[ $(sinfo -h -t idle -o %D 2>/dev/null | head -n 1) != "${#kNodes[@]}" ]] || return 0
    sleep 0.2
  done
  echo "the nodes did not come up:"
  sinfo || true
  tail -n 20 "$folder"/*.log
  exit 1
}

# Ends what runs on a node: first its daemons, which hold its log open, so that they tell nobody; then
# what they started, which has the node's name from them.
end_node() {
  local daemons ranks
  daemons=$(find /proc/[0-9]*/fd -lname "$folder/slurmd-$1.log" 2>/dev/null | cut -d/ -f3 | sort -u) || true
  [[ -z $daemons ]] || kill -9 $daemons 2>/dev/null || true
  ranks=$(grep -lzxF "SLURMD_NODENAME=$1" /proc/[0-9]*/environ 2>/dev/null |
    xargs -r grep -lzxF "SLURM_CONF=$SLURM_CONF" 2>/dev/null | cut -d/ -f3) || true
  [[ -z $ranks ]] || kill -9 $ranks 2>/dev/null || true
}

end_daemon() { [[ ! -s $folder/$1.pid ]] || kill "$(<"$folder/$1.pid")" 2>/dev/null || true; }

stop() {
  local name
  for name in "${kNodes[@]}"; do end_node "$name"; done
  end_daemon slurmctld
  end_daemon munged
}

case $action in
  start) start ;;
  stop) stop ;;
  lose)
    end_node "$node"
    # What a health check does; Slurm by itself needs half a minute.
    scontrol update nodename="$node" state=down reason="no power"
    ;;
  node) start_node "$node" ;;
esac
