#!/usr/bin/env bash
# The complete published recipe: three stages of training, four evaluations, a table beside the published figures.
#
# Usage: bash run_recipe.sh [RANK_TABLE_FILE] [VOCAUG_FILE] [VOCTRAIN_FILE] [CKPT_PRE_TRAINED] [DATA_ROOT] [DATA_LST]
#                           [-- options of train.py, for every stage] [--dry-run]
#
#   VOCAUG_FILE, VOCTRAIN_FILE   MindRecords of vocaug_train_lst.txt (stages 1 and 2) and voc_train_lst.txt (stage 3)
#   CKPT_PRE_TRAINED             ImageNet ResNet-101 to start stage 1 from; later stages start from the last checkpoint
#   DATA_ROOT, DATA_LST          pictures and list of the evaluations
#
# Arguments may also be environment variables of the same name, or be set at the top of this file; "" leaves one out.
# RANK_SIZE, NODES, BIND_CORE as for run_distribute_train_s16_r1.sh. Results go to WORK_PATH (default: the current folder). If
# started again there, it skips what is finished and resumes an interrupted stage. RECIPES=DIR uses a changed copy of
# scripts/recipes, such as scripts/recipes/a2 for Atlas A2, which has no third stage and needs no VOCTRAIN_FILE.
rank_table_file="${RANK_TABLE_FILE:-}"
vocaug_file="${VOCAUG_FILE:-}"
voctrain_file="${VOCTRAIN_FILE:-}"
ckpt_pre_trained="${CKPT_PRE_TRAINED:-}"
data_root="${DATA_ROOT:-}"
data_lst="${DATA_LST:-}"

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
take rank_table_file vocaug_file voctrain_file ckpt_pre_trained data_root data_lst -- "$@"
work="${WORK_PATH:-$PWD}"
export RECIPES PYTHON

((${NODES:-1} == 1)) || die "NODES $NODES: run_recipe.sh works on one machine; on several start the launchers on each"
# A mistake in an input of the last step is found now, not after hours.
needed=(vocaug_file)
if [[ -f "$RECIPES/s8_r2.yaml" ]]; then needed+=(voctrain_file); fi
for name in "${needed[@]}" data_root data_lst; do
    [[ -n "${!name}" ]] || die "${name^^} is not given; see --help"
done
for name in rank_table_file vocaug_file voctrain_file ckpt_pre_trained data_root data_lst; do
    [[ -z "${!name}" || -e "${!name}" ]] || ((DRY_RUN)) || die "${name^^} ${!name}: no such file"
done

child=""
end() { # signals go to all processes of the step, which has a process group of its own
    trap '' INT TERM HUP
    [[ -z "$child" ]] || kill -TERM -- "-$child" 2>/dev/null || true
    wait || true
    exit "$1"
}
trap 'end 130' INT
trap 'end 143' TERM
trap 'end 129' HUP
set -m

# step NAME VARIABLE=VALUE ... COMMAND...: show and run; a failure ends the recipe with the step's exit code.
step() {
    local code=0
    say '\n== %s\n' "$1"
    show "${@:2}"
    if ((DRY_RUN)); then return; fi
    env "${@:2}" &
    child=$!
    wait "$child" || code=$?
    child=""
    ((code == 0)) || { echo "error: $1 ended with exit code $code; run_recipe.sh goes on from there" >&2 || true; exit "$code"; }
}

# last_checkpoint DIR: its {model}-{epoch}_{step}.ckpt with the most epochs and steps.
last_checkpoint() {
    [[ ! -d "$1" ]] || find "$1" -maxdepth 1 -name '*-[0-9]*_[0-9]*.ckpt' ! -name '.*' | sort -V | tail -n 1
}

# stage RECIPE NAME DATA_FILE: train from $checkpoint, and leave there the last checkpoint.
stage() {
    local folder="$work/$2"
    if [[ -f "$folder/finished" && -f "$(<"$folder/finished")" ]]; then
        checkpoint="$(<"$folder/finished")"
        say '\n== %s is finished: %s\n' "$1" "$checkpoint"
        return
    fi
    step "$1" "TRAIN_PATH=$folder" bash "$ROOT/scripts/run_distribute_train_$1.sh" \
        "$rank_table_file" "$3" "$checkpoint" -- --resume auto "${OPTIONS[@]}"
    checkpoint="$(last_checkpoint "$folder/ckpt")"
    if ((DRY_RUN)); then
        checkpoint="${checkpoint:-<last checkpoint of $folder/ckpt>}"
    else
        [[ -n "$checkpoint" ]] || die "$1 left no checkpoint in $folder/ckpt"
        echo "$checkpoint" >"$folder/finished"
    fi
}

# evaluation LAUNCHER NAME CHECKPOINT
evaluation() {
    local folder="$work/$2"
    results+=("$folder/eval_result.json")
    if [[ "$folder/eval_result.json" -nt "$3" ]]; then
        say '\n== %s is finished: %s\n' "$1" "$folder/eval_result.json"
        return
    fi
    step "$1" "EVAL_PATH=$folder" RANK_SIZE=1 bash "$ROOT/scripts/$1.sh" "$data_root" "$data_lst" "$3"
}

checkpoint="$ckpt_pre_trained" results=()
stage s16_r1 s16_aug_train "$vocaug_file"
s16="$checkpoint"
stage s8_r1 s8_aug_train "$vocaug_file"
if [[ -f "$RECIPES/s8_r2.yaml" ]]; then # a folder of recipes may end with stage 2
    stage s8_r2 s8_voc_train "$voctrain_file"
fi
evaluation run_eval_s16 s16_eval "$s16"
evaluation run_eval_s8 s8_eval "$checkpoint"
evaluation run_eval_s8_multiscale s8_multiscale_eval "$checkpoint"
evaluation run_eval_s8_multiscale_flip s8_multiscale_flip_eval "$checkpoint"
if [[ -f "$RECIPES/s8_r2.yaml" ]]; then
    results+=(--published) # figures of all three stages
else
    say '\nThe heads of the eval_*.yaml in %s say which mIoU these recipes are expected to reach.\n' "$RECIPES"
fi
step "mIoU in percent" "$PYTHON" "$ROOT/src/tools/summary.py" "${results[@]}"
