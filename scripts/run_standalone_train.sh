#!/usr/bin/env bash
# Train on one device: an Ascend, or the CPU of a machine that has none.
#
# Usage: bash run_standalone_train.sh [DATA_FILE] [CKPT_PRE_TRAINED] [options of train.py] [--dry-run]
#
# The paths may also come from the environment variables of these names, or be written below. DEVICE_ID chooses
# the device. Log and checkpoints go to s16_train in the working folder, or TRAIN_PATH.
data_file="${DATA_FILE:-}"
ckpt_pre_trained="${CKPT_PRE_TRAINED:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
launch_train s16_train standalone "$@"
