#!/usr/bin/env bash
# One flow run inside a Slurm allocation; the work pool template pools/slurm.json starts it with salloc.
# The flow itself runs on the first node. Its trainers are torchrun on every node: srun starts them
# there (CXR_NODE_STARTER) and they meet at the first one. Data root and state folder must be the same
# paths on all nodes.
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export CXR_NODES=$SLURM_JOB_NUM_NODES
export CXR_PROCESSES_PER_NODE=${SLURM_GPUS_ON_NODE:-1}
export CXR_RENDEZVOUS=$first:29500
export CXR_NODE_STARTER="srun --overlap --nodes=$SLURM_JOB_NUM_NODES --ntasks-per-node=1 --kill-on-bad-exit=1"
exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" python -m prefect.engine
