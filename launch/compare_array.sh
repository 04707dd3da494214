#!/usr/bin/env bash
# Spreads a study over the tasks of a Slurm array: each takes the next run that
# nobody has, with one thread, until none is left.
#
#   sbatch --array=0-15 --time=4:00:00 launch/compare_array.sh \
#       --flagfile=results/longer.flags --data_dir=DIR --workdir=DIR
#
# The arguments are those of keras_graft.compare; DIR must be one and the same
# on all hosts. PYTHON is the interpreter, `python` unless it is set. When the
# time is up, or a task is lost, its run is free: submit the same command
# again, with as many tasks as you like, and it goes on. Whoever ends last
# writes the report.
#SBATCH --job-name=keras_graft_study
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append
set -euo pipefail

# One thread each: a study has more runs than a host has cores.
export TF_NUM_INTRAOP_THREADS="${TF_NUM_INTRAOP_THREADS:-1}"
export TF_NUM_INTEROP_THREADS="${TF_NUM_INTEROP_THREADS:-1}"
# In the place of the shell, so that signals reach it.
exec "${PYTHON:-python}" -m keras_graft.compare "$@"
