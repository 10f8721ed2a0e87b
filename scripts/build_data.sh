#!/usr/bin/env bash
# Convert listed pictures and masks to MindRecord.
#
# Usage: bash build_data.sh [DATA_ROOT] [DATA_LST] [DST_PATH] [NUM_SHARDS] [options of build_seg_data.py] [--dry-run]
#
# Arguments may also be given as environment variables of the same name, or be set at the top of this file.
data_root="${DATA_ROOT:-}"
data_lst="${DATA_LST:-}"
dst_path="${DST_PATH:-}"
num_shards="${NUM_SHARDS:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
take data_root data_lst dst_path num_shards -- "$@"
given --data_root "$data_root" --data_lst "$data_lst" --dst_path "$dst_path" --num_shards "$num_shards"
show "$PYTHON" "$ROOT/src/data/build_seg_data.py" "${GIVEN[@]}" "${OPTIONS[@]}"
((DRY_RUN)) || exec "$PYTHON" "$ROOT/src/data/build_seg_data.py" "${GIVEN[@]}" "${OPTIONS[@]}"
