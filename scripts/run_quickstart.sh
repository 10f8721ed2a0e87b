#!/usr/bin/env bash
# Train and evaluate the real ResNet-101 DeepLabV3 on this machine's CPU, on synthetic pictures or on your copy of VOC.
#
# Usage: bash run_quickstart.sh [--data_root DIR] [--work_dir DIR] [--tiny] [--yes]
#
#   --data_root DIR   a folder with VOCdevkit/VOC2012, which is only read: the first 160 training and 24 held-out pictures
#                     of its lists are used; without this option synthetic pictures are made
#   --work_dir DIR    folder for all results (default: quickstart in the current folder; an earlier one is renamed)
#   --tiny            use a network of a hundredth of the size: the same steps in a minute or two
#   --yes             let the installation replace packages in your own environment (also: ASSUME_YES=1)
#
# Installs what is missing into the active environment or PYTHON, otherwise into .venv. An installed MindSpore is never
# changed. If other packages would be replaced, they are listed and nothing is installed without --yes. In minutes and from
# random weights, the network learns the five shapes of the synthetic pictures. On real VOC this only checks every part; a
# good model needs the ImageNet backbone and the recipe of README.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

data_root="" work_dir="$PWD/quickstart" size=""
while (($#)); do
    case "$1" in
    --help | -h) usage && exit 0 ;;
    --tiny) size=tiny_ && shift ;;
    --yes) export ASSUME_YES=1 && shift ;;
    --data_root=* | --work_dir=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --data_root | --work_dir)
        [[ -n "${2:-}" ]] || die "$1 needs a folder"
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
    *) die "unknown argument '$1'; see --help" ;;
    esac
done

step() { say '\n== %s\n' "$*"; }

# link_voc FROM TO: a folder that reads FROM through links, so that gray masks and lists are written beside them.
link_voc() {
    local from="$1" to="$2" part source
    source="$from/VOCdevkit/VOC2012"
    [[ -d "$source" ]] || source="$from"
    [[ -d "$source/ImageSets/Segmentation" ]] ||
        die "--data_root $from: neither it nor $from/VOCdevkit/VOC2012 holds ImageSets/Segmentation"
    mkdir -p "$to/VOCdevkit/VOC2012"
    for part in JPEGImages SegmentationClass ImageSets; do
        ln -s "$(realpath "$source/$part")" "$to/VOCdevkit/VOC2012/$part"
    done
    if [[ -d "$from/benchmark_RELEASE/dataset" ]]; then
        mkdir -p "$to/benchmark_RELEASE/dataset"
        for part in cls img train.txt val.txt; do
            ln -s "$(realpath "$from/benchmark_RELEASE/dataset/$part")" "$to/benchmark_RELEASE/dataset/$part"
        done
    fi
}

start=$SECONDS
install "$ROOT/requirements.txt"
installed=$SECONDS
keep "$work_dir"
mkdir -p "$work_dir"
work_dir="$(realpath "$work_dir")"
data="$work_dir/data"

if [[ -n "$data_root" ]]; then
    step "your VOC, read through links in $data"
    link_voc "$(realpath "$data_root")" "$data"
    recipe=quickstart_voc
else
    step "synthetic pictures in VOC's layout"
    "$PYTHON" "$ROOT/src/data/sample.py" --sample_dir "$data"
    recipe=quickstart
fi

step "list files"
"$PYTHON" "$ROOT/src/data/get_dataset_lst.py" --data_root "$data"

# The first pictures of each list: all of the sample, and of a full VOC what a CPU does in minutes.
head -n 160 "$data/voc_train_lst.txt" >"$work_dir/train_lst.txt"
head -n 24 "$data/voc_val_lst.txt" >"$work_dir/val_lst.txt"

step "MindRecord"
bash "$ROOT/scripts/build_data.sh" "$data" "$work_dir/train_lst.txt" "$work_dir/train.mindrecord" 2

step "training (log and checkpoint in $work_dir/train)"
TRAIN_PATH="$work_dir/train" DEVICE_TARGET=CPU bash "$ROOT/scripts/run_standalone_train_cpu.sh" \
    "$work_dir/train.mindrecord0" "" --config_path "$RECIPES/$recipe.yaml" --model "deeplab_v3_${size}s16"
checkpoints=("$work_dir"/train/ckpt/*.ckpt)

# The stride-16 checkpoint is evaluated at stride 8 with doubled rates, as the paper does.
modes=(run_eval_s16 run_eval_s8 run_eval_s8_multiscale run_eval_s8_multiscale_flip)
results=()
for mode in "${modes[@]}"; do
    step "$mode"
    rates=(--model "deeplab_v3_${size}s16") pictures=()
    [[ "$mode" == run_eval_s16 ]] || rates=(--model "deeplab_v3_${size}s8" --atrous_rates 12 24 36)
    [[ "$mode" != run_eval_s8_multiscale_flip ]] || pictures=(--overlay_dir "$work_dir/overlays" --report "$work_dir/report")
    EVAL_PATH="$work_dir/$mode" DEVICE_TARGET=CPU bash "$ROOT/scripts/$mode.sh" "$data" "$work_dir/val_lst.txt" \
        "${checkpoints[0]}" "${rates[@]}" "${pictures[@]}"
    results+=("$work_dir/$mode/eval_result.json")
done

step "export to ONNX, and its evaluation without MindSpore"
"$PYTHON" "$ROOT/export.py" --ckpt_file "${checkpoints[0]}" --file_name "$work_dir/deeplabv3.onnx" \
    --file_format ONNX
EVAL_PATH="$work_dir/run_eval_onnx" bash "$ROOT/scripts/run_eval_onnx.sh" "$data" "$work_dir/val_lst.txt" \
    "$work_dir/deeplabv3.onnx" CPU
results+=("$work_dir/run_eval_onnx/eval_result.json")

step "the checkpoint in MindSpore, which trained it"
EVAL_PATH="$work_dir/run_eval_mindspore" DEVICE_TARGET=CPU bash "$ROOT/scripts/run_eval_s16.sh" "$data" \
    "$work_dir/val_lst.txt" "${checkpoints[0]}" --model "deeplab_v3_${size}s16" --engine mindspore
results+=("$work_dir/run_eval_mindspore/eval_result.json")

step "held-out pictures, percent"
"$PYTHON" "$ROOT/src/tools/summary.py" "${results[@]}"
say '\noverlays (picture, truth, prediction): %s\n' "$work_dir/overlays"
say "the last mode's report, for a browser: %s\n" "$work_dir/report/report.html"
say 'installation %d s, everything else %d s\n' "$((installed - start))" "$((SECONDS - installed))"
