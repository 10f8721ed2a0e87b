#!/usr/bin/env bash
# Train on a CPU.
#
# Usage: bash run_standalone_train_cpu.sh [DATA_FILE] [CKPT_PRE_TRAINED] [options of train.py] [--dry-run]
#
# Paths may also be environment variables of the same name, or be set at the top of this file. DEVICE_ID chooses
# the device. Log and checkpoints go to s16_train_cpu in the current folder, or to TRAIN_PATH.
data_file="${DATA_FILE:-}"
ckpt_pre_trained="${CKPT_PRE_TRAINED:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
launch_train s16_train_cpu standalone_cpu "$@"
