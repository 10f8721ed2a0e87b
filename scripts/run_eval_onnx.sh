#!/usr/bin/env bash
# Evaluate an ONNX model that export.py wrote; MindSpore is not needed.
#
# Usage: bash run_eval_onnx.sh [DATA_ROOT] [DATA_LST] [FILE_NAME] [DEVICE_TARGET] [options of eval_onnx.py] [--dry-run]
#
# Arguments may also be environment variables of the same name, or be set at the top of this file.
# DEVICE_TARGET is CPU (default) or GPU.
# Log and result go to onnx_eval in the current folder, or to EVAL_PATH.
data_root="${DATA_ROOT:-}"
data_lst="${DATA_LST:-}"
file_name="${FILE_NAME:-}"
device_target="${DEVICE_TARGET:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
eval_path="${EVAL_PATH:-$PWD/onnx_eval}"
take data_root data_lst file_name device_target -- "$@"
given --data_root "$data_root" --data_lst "$data_lst" --file_name "$file_name" --device_target "$device_target"
run_logged "$eval_path/eval_log" eval_onnx.py --result_file "$eval_path/eval_result.json" "${GIVEN[@]}" "${OPTIONS[@]}"
