#!/usr/bin/env bash
# Trains on the hosts of a Slurm job, one process a host with all its GPUs.
#
#   sbatch --nodes=2 --gpus-per-node=8 --time=4:00:00 launch/slurm.sh \
#       --flagfile=cifar100.flags --data_dir=DIR --workdir=DIR
#
# The arguments are those of keras_graft.launch; DIR must be one and the same
# on all hosts. PYTHON is the interpreter, `python` unless it is set. When the
# time is up, every process finishes its step and ends with the newest
# checkpoint verified: submit the same command again, and it goes on.
#SBATCH --job-name=keras_graft
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
set -euo pipefail

# What runs on each host. A function, since Slurm copies this file to one host
# only.
worker() {
    local addresses="" separator="" port=$KERAS_GRAFT_PORT host
    for host in $KERAS_GRAFT_HOSTS; do
        addresses+="$separator\"$host:$port\""
        separator=", "
        # A port for each, so that two workers can be tried on one host.
        port=$((port + 1))
    done
    export TF_CONFIG="{\"cluster\": {\"worker\": [$addresses]}, \
\"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
    # In the place of the shell, so that signals reach it.
    exec "${PYTHON:-python}" -m keras_graft.launch --strategy=multiworker "$@"
}
export -f worker

KERAS_GRAFT_HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tr '\n' ' ')
# Below the ports that systems give to outgoing connections.
KERAS_GRAFT_PORT=$((15000 + SLURM_JOB_ID % 15000))
# What tells the workers of this job from anyone else who finds the port.
KERAS_GRAFT_JOB_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export KERAS_GRAFT_HOSTS KERAS_GRAFT_PORT KERAS_GRAFT_JOB_TOKEN

# When one process fails, the others need not wait to miss it.
exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 \
    bash -c 'worker "$@"' worker "$@"
