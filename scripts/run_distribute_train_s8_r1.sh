#!/usr/bin/env bash
# Stage 2 of the recipe, output stride 8, on all devices, from the last checkpoint of stage 1.
#
# Usage: bash run_distribute_train_s8_r1.sh [RANK_TABLE_FILE] [DATA_FILE] [CKPT_PRE_TRAINED] [-- options of train.py] [--dry-run]
#
# The paths may also come from the environment variables of these names, or be written below; an empty one is not given.
# With a rank table its devices are used. Without, RANK_SIZE devices (default 8 a machine) meet at MASTER_ADDR and
# MASTER_PORT; for several machines set NODES, and on each NODE_RANK. On a CPU give RANK_SIZE=2 or so.
# Logs of the ranks and checkpoints go to s8_aug_train in the working folder, or TRAIN_PATH.
rank_table_file="${RANK_TABLE_FILE:-}"
data_file="${DATA_FILE:-}"
ckpt_pre_trained="${CKPT_PRE_TRAINED:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
launch_distributed s8_aug_train s8_r1 "$@"
