#!/usr/bin/env bash
# Stage 2 of the recipe, output stride 8, on all devices, from the last checkpoint of stage 1.
#
# Usage: bash run_distribute_train_s8_r1.sh [RANK_TABLE_FILE] [DATA_FILE] [CKPT_PRE_TRAINED] [-- options of train.py] [--dry-run]
#
# Paths may also be environment variables of the same name, or be set at the top of this file; "" leaves one out.
# With a rank table its devices are used. Without one, RANK_SIZE devices (default 8 per machine) meet at MASTER_ADDR and
# MASTER_PORT. For several machines set NODES, and NODE_RANK on each of them. On a CPU use a small RANK_SIZE, such as 2.
# BIND_CORE=True gives each rank its own share of the cores of the machine.
# Logs of the ranks and checkpoints go to s8_aug_train in the current folder, or to TRAIN_PATH.
rank_table_file="${RANK_TABLE_FILE:-}"
data_file="${DATA_FILE:-}"
ckpt_pre_trained="${CKPT_PRE_TRAINED:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
launch_distributed s8_aug_train s8_r1 "$@"
