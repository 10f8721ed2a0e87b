# Shared by the launchers: the project's folder, the Python to use, arguments, logs. Sourced, never run.
# shellcheck shell=bash
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # started by sh, which cannot read what follows
set +o posix
set -Eeuo pipefail

# The console may close or be full without ending a run: a closed stream becomes /dev/null, SIGPIPE is ignored.
{ : >&1; } 2>/dev/null || exec >/dev/null
{ : >&2; } 2>/dev/null || exec 2>/dev/null
trap '' PIPE

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
RECIPES="${RECIPES:-$ROOT/scripts/recipes}" # a changed copy of the folder may be given
export PYTHONUNBUFFERED=1
DRY_RUN=0
OPTIONS=()

die() { # the word red on a terminal, as in the programs
    local word=error
    if [[ -t 2 && -z "${NO_COLOR:-}" && "${TERM:-dumb}" != dumb ]]; then word=$'\033[1;31merror\033[0m'; fi
    echo "$word: $*" >&2 || true
    exit 2
}

say() { # printf to a console that may be gone
    # shellcheck disable=SC2059
    printf "$@" 2>/dev/null || true
}

usage() { # the comment at the head of the launcher
    sed -nE '2,/^([^#]|$)/ s/^# ?//p' "$0"
}

# Set PYTHON: the variable itself, an active environment, the project's .venv, or the machine's python3.
find_python() {
    local active="${VIRTUAL_ENV:-${CONDA_PREFIX:-}}"
    if [[ -n "${PYTHON:-}" ]]; then
        command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON: no such program"
    elif [[ -n "$active" ]]; then
        PYTHON="$active/bin/python"
    elif [[ -x "$ROOT/.venv/bin/python" ]]; then
        PYTHON="$ROOT/.venv/bin/python"
    else
        PYTHON=python3
    fi
}

supported() { # supported PROGRAM: a Python that MindSpore has wheels for
    "$1" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

has_mindspore() { # has_mindspore PROGRAM: one that it can import, whatever lies in the working folder
    "$1" -c 'import sys; from importlib.util import find_spec
sys.path = [place for place in sys.path if place]
sys.exit(not getattr(find_spec("mindspore"), "origin", None))' 2>/dev/null
}

# Make .venv with a Python that MindSpore has wheels for: one of this machine, or one from uv or conda.
make_venv() {
    local python bare="" command=()
    [[ ! -e "$ROOT/.venv" ]] || die "$ROOT/.venv: its Python does not run; fix: remove the folder"
    for python in python3 python3.11 python3.12 python3.10 python3.9; do
        supported "$python" || continue
        if "$python" -c 'import ensurepip' 2>/dev/null; then command=("$python" -m venv) && break; fi
        bare="$python" # Debian's, without the package python3-venv
    done
    if ((!${#command[@]})); then
        if command -v uv >/dev/null; then
            command=(uv venv --seed --python 3.11)
        elif command -v conda >/dev/null; then
            command=(conda create --yes python=3.11 pip --prefix)
        elif [[ -n "$bare" ]]; then
            die "$bare has no venv module; fix: apt-get install python3-venv"
        else
            die "MindSpore has wheels for Python 3.9 to 3.12, but this machine has none of these (python3 is" \
                "$(python3 -V 2>&1 || true)), nor uv or conda; fix: curl -LsSf https://astral.sh/uv/install.sh | sh," \
                "then PATH=\"\$HOME/.local/bin:\$PATH\" bash $0"
        fi
    fi
    show "${command[@]}" "$ROOT/.venv"
    ( # an unfinished environment is removed
        trap 'rm -rf "$ROOT/.venv"' EXIT
        "${command[@]}" "$ROOT/.venv" &&
            touch "$ROOT/.venv/.made_by_launcher" && # for src/tools/install.py
            trap - EXIT
    ) || die "$ROOT/.venv could not be made; see the message of ${command[0]} above"
}

# install FILE...: install requirements into the environment in use (see find_python; a python3 with MindSpore counts as
# one), else into a new .venv. ASSUME_YES=1 agrees to replacing packages.
install() {
    if [[ -z "${PYTHON:-}${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" && ! -x "$ROOT/.venv/bin/python" ]]; then
        has_mindspore python3 || make_venv
    fi
    find_python
    supported "$PYTHON" || has_mindspore "$PYTHON" ||
        die "$PYTHON is $("$PYTHON" -V 2>&1 || true); MindSpore has wheels for Python 3.9 to 3.12;" \
            "fix: deactivate that environment to use .venv, or set PYTHON to such a Python"
    "$PYTHON" -c 'import pip' 2>/dev/null || die "$PYTHON has no pip; fix: $PYTHON -m ensurepip"
    "$PYTHON" "$ROOT/src/tools/install.py" --constraint "$ROOT/constraints-cpu.txt" "$@"
}

# take NAME... -- ARGUMENT...: leading arguments that are not options set the variables NAME. An empty argument is
# ignored: the variable keeps its value from the environment or the head of the launcher. The rest goes to OPTIONS.
take() {
    local names=() argument
    while [[ "$1" != -- ]]; do names+=("$1") && shift; done
    shift
    for argument in "$@"; do
        case "$argument" in
        --help | -h) usage && exit 0 ;;
        --dry-run) DRY_RUN=1 ;;
        -*) names=() && OPTIONS+=("$argument") ;;
        *) if ((${#names[@]})); then
            [[ -z "$argument" ]] || printf -v "${names[0]}" %s "$argument"
            names=("${names[@]:1}")
        elif ((${#OPTIONS[@]})); then
            OPTIONS+=("$argument")
        else
            die "unexpected argument '$argument'; see --help"
        fi ;;
        esac
    done
    if [[ "${OPTIONS[0]:-}" == -- ]]; then OPTIONS=("${OPTIONS[@]:1}"); fi
    find_python
}

# given OPTION VALUE ...: fill GIVEN with the pairs whose value is not empty.
given() {
    GIVEN=()
    while (($#)); do
        [[ -z "$2" ]] || GIVEN+=("$1" "$2")
        shift 2
    done
}

# run_logged LOG PROGRAM [ARGUMENT...]: exec a program of the project. Its output is shown and written to LOG; an
# earlier log is renamed. The program gets the signals, and its exit code is the launcher's.
run_logged() {
    local log="$1" command=("$PYTHON" "$ROOT/$2" "${@:3}")
    show "${command[@]}"
    if ((DRY_RUN)); then return; fi
    mkdir -p "$(dirname "$log")" || die "$(dirname "$log"): cannot be made"
    claim "$log"
    keep "$log"
    # -i: after Ctrl-C the program still prints. If the console is gone, the log is still written.
    exec "${command[@]}" > >(exec tee -i "$log" 2>/dev/null) 2>&1
}

# claim FILE: lock it for the life of this process and of the program that it execs, like src/claims.py.
claim() {
    local lock code=0
    lock="$(dirname "$1")/.$(basename "$1").deeplab_v3.lock"
    { exec 9>>"$lock"; } 2>/dev/null || die "$lock: cannot be written"
    flock -n -E 99 9 2>/dev/null || code=$? # another code: there is no flock, or a file system without locks
    ((code != 99)) || die "$1: process $(<"$lock") is writing it; wait for it, or give another folder"
    echo "$$" >"$lock" || true
}

show() { # print a command as it could be typed
    say '%q ' "$@"
    say '\n'
}

keep() { # keep FILE: rename an existing file by adding a number
    local number=1
    [[ -e "$1" ]] || return 0
    while [[ -e "$1.$number" ]]; do number=$((number + 1)); done
    mv "$1" "$1.$number"
}

# The launchers set these at their heads, where users may edit them.
# shellcheck disable=SC2154
# launch_eval NAME RECIPE ARGUMENT...: log in NAME/eval_log of the working folder, or EVAL_PATH; with RANK_SIZE on so
# many devices, rank N's log in NAME/deviceN/log.
launch_eval() {
    local eval_path="${EVAL_PATH:-$PWD/$1}" recipe="$2" options
    take data_root data_lst ckpt_path -- "${@:3}"
    given --data_root "$data_root" --data_lst "$data_lst" --ckpt_path "$ckpt_path" \
        --device_target "${DEVICE_TARGET:-}"
    options=(--config_path "$RECIPES/$recipe.yaml" --result_file "$eval_path/eval_result.json" "${GIVEN[@]}")
    if [[ "${RANK_SIZE:-1}" == 1 ]]; then
        run_logged "$eval_path/eval_log" eval.py "${options[@]}" "${OPTIONS[@]}"
    else
        run_ranks "$eval_path" eval.py "${options[@]}" "${OPTIONS[@]}"
    fi
}

# shellcheck disable=SC2154
# launch_train NAME RECIPE ARGUMENT...: log in NAME/device<DEVICE_ID>/log of the working folder, or TRAIN_PATH;
# checkpoints in NAME/ckpt.
launch_train() {
    local train_path="${TRAIN_PATH:-$PWD/$1}" recipe="$2"
    take data_file ckpt_pre_trained -- "${@:3}"
    given --data_file "$data_file" --ckpt_pre_trained "$ckpt_pre_trained" --device_target "${DEVICE_TARGET:-}"
    run_logged "$train_path/device${DEVICE_ID:-0}/log" train.py --config_path "$RECIPES/$recipe.yaml" \
        --train_dir "$train_path/ckpt" "${GIVEN[@]}" "${OPTIONS[@]}"
}

# shellcheck disable=SC2154
# launch_distributed NAME RECIPE ARGUMENT...: train.py on all devices; rank N logs in NAME/deviceN/log of the working
# folder, or TRAIN_PATH; checkpoints in NAME/ckpt.
launch_distributed() {
    local train_path="${TRAIN_PATH:-$PWD/$1}" recipe="$2"
    take rank_table_file data_file ckpt_pre_trained -- "${@:3}"
    given --data_file "$data_file" --ckpt_pre_trained "$ckpt_pre_trained" --device_target "${DEVICE_TARGET:-}"
    run_ranks "$train_path" train.py --config_path "$RECIPES/$recipe.yaml" --train_dir "$train_path/ckpt" \
        "${GIVEN[@]}" "${OPTIONS[@]}"
}

# run_ranks LOG_DIR PROGRAM [ARGUMENT...]: exec src/tools/launch.py, which runs a program of the project once for each
# device (of rank_table_file if it is set) and gets the signals.
run_ranks() {
    local launch
    given --rank_table "${rank_table_file:-}" --ranks "${RANK_SIZE:-}" --nodes "${NODES:-}" \
        --node_rank "${NODE_RANK:-}" --master_addr "${MASTER_ADDR:-}" --master_port "${MASTER_PORT:-}" \
        --device_target "${DEVICE_TARGET:-}" --bind_core "${BIND_CORE:-}"
    launch=("$PYTHON" "$ROOT/src/tools/launch.py" --log_dir "$1" "${GIVEN[@]}")
    if ((DRY_RUN)); then launch+=(--dry_run); fi
    exec "${launch[@]}" -- "$ROOT/$2" --is_distributed "${@:3}"
}
