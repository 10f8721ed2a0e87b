#!/usr/bin/env bash
# Evaluate at output stride 16, one scale (published: 77.37 mIoU).
#
# Usage: bash run_eval_s16.sh [DATA_ROOT] [DATA_LST] [CKPT_PATH] [options of eval.py] [--dry-run]
#
# Paths may also be environment variables of the same name, or be set at the top of this file.
# DEVICE_TARGET is the device (default: auto).
# Log and result go to s16_eval in the current folder, or to EVAL_PATH.
data_root="${DATA_ROOT:-}"
data_lst="${DATA_LST:-}"
ckpt_path="${CKPT_PATH:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
launch_eval s16_eval eval_s16 "$@"
