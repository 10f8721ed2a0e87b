#!/usr/bin/env bash
# Build ascend310_infer and run a MINDIR over a list: class maps, times and mIoU.
#
# Usage: bash run_infer_cpp.sh [MINDIR_PATH] [DATA_PATH] [DATA_ROOT] [DATA_LIST] [DEVICE_TYPE] [DEVICE_ID]
#                              [options of the program] [--dry-run]
#
#   MINDIR_PATH   model; MindSpore Lite 2.0 and older read what export.py --mindir_version 1 writes
#   DATA_PATH     folder that the pictures of the list are relative to
#   DATA_ROOT     folder that the masks are relative to (default: DATA_PATH, as in the lists of get_dataset_lst.py)
#   DATA_LIST     list file, a line "image mask" for each pair
#   DEVICE_TYPE   Ascend (default), GPU or CPU
#   DEVICE_ID     number of the device (default: 0)
#
# Arguments may also be environment variables of the same name, or be set at the top of this file. MS_LITE_HOME
# is the folder of an installed MindSpore Lite. Class maps go to result_Files, times to time_Result, the table to acc.log,
# all in the current folder or RESULT_PATH; results of an earlier run there are renamed with a number.
mindir_path="${MINDIR_PATH:-}"
data_path="${DATA_PATH:-}"
data_root="${DATA_ROOT:-}"
data_list="${DATA_LIST:-}"
device_type="${DEVICE_TYPE:-}"
device_id="${DEVICE_ID:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# named OPTION: whether it is among the options of the program, which may take the place of an argument.
named() {
    local option
    for option in "${OPTIONS[@]}"; do
        [[ "${option%%=*}" != "--$1" ]] || return 0
    done
    return 1
}

# What would end the run only after an SDK of 169 MB has been fetched and everything been built.
check_arguments() {
    local known option
    known="$(sed -nE 's/^ *(Text|Integer|Triple|Flag)\("([a-z_]+)".*/--\2/p' "$ROOT/ascend310_infer/src/options.cc")"
    for option in "${OPTIONS[@]}"; do
        [[ "$option" != --* ]] || grep -qxe "${option%%=*}" <<<"$known" || die "no option '${option%%=*}' (see --help)"
    done
    named mindir_path || [[ -n "$mindir_path" ]] || die "MINDIR_PATH is not given (see --help)"
    named image_list || [[ -n "$data_list" ]] || die "DATA_LIST is not given (see --help)"
    named dataset_path || [[ -n "$data_path$data_root" ]] || die "DATA_PATH is not given (see --help)"
    [[ -z "$mindir_path" || -f "$mindir_path" ]] || die "MINDIR_PATH $mindir_path: no such file"
    [[ -z "$data_list" || -f "$data_list" ]] || die "DATA_LIST $data_list: no such file"
    [[ -z "$data_path" || -d "$data_path" ]] || die "DATA_PATH $data_path: no such folder"
    [[ -z "$data_root" || -d "$data_root" ]] || die "DATA_ROOT $data_root: no such folder"
    [[ -z "$device_type" || "$device_type" =~ ^(Ascend|GPU|CPU)$ ]] ||
        die "DEVICE_TYPE is one of Ascend, GPU, CPU, not '$device_type'"
    [[ "$device_id" =~ ^[0-9]*$ ]] || die "DEVICE_ID is a number, not '$device_id'"
}

take mindir_path data_path data_root data_list device_type device_id -- "$@"
result_path="${RESULT_PATH:-$PWD}"
given --mindir_path "$mindir_path" --dataset_path "${data_path:-$data_root}" --mask_path "$data_root" \
    --image_list "$data_list" --device_type "$device_type" --device_id "$device_id" --output_dir "$result_path"
if ((DRY_RUN)); then
    show "$ROOT/.cache/ascend310_infer/main" "${GIVEN[@]}" "${OPTIONS[@]}"
    exit
fi
check_arguments
program="$(bash "$ROOT/ascend310_infer/build.sh" | tail -n 1)"
show "$program" "${GIVEN[@]}" "${OPTIONS[@]}"
mkdir -p "$result_path"
for earlier in result_Files time_Result acc.log infer.log; do keep "$result_path/$earlier"; done
export GLOG_v="${GLOG_v:-4}" # the SDK logs pages beside the one line that names the cause
"$program" "${GIVEN[@]}" "${OPTIONS[@]}" 2>&1 | { tee -i "$result_path/infer.log" 2>/dev/null || true; }
