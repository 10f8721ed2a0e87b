#!/usr/bin/env bash
# Build the C++ program: prints the path of the executable as its last line.
#
# Usage: bash build.sh [BUILD_DIR]
#
# BUILD_DIR is .cache/ascend310_infer of the project by default. MS_LITE_HOME names an installed MindSpore Lite; without
# it scripts/get_mindspore_lite.sh fetches one for CPUs.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/../scripts/common.sh"
case "${1:-}" in --help | -h) usage && exit 0 ;; esac
build_dir="${1:-$ROOT/.cache/ascend310_infer}"

missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v c++ >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
[[ -f /usr/include/png.h ]] || missing+=(libpng-dev)
[[ -d /usr/include/opencv4 || -n "${OpenCV_DIR:-}" ]] || missing+=(libopencv-dev)
((${#missing[@]} == 0)) || die "missing ${missing[*]}; fix: apt-get install ${missing[*]}"

lite="$(bash "$ROOT/scripts/get_mindspore_lite.sh")"
mkdir -p "$build_dir"
log="$build_dir/build.log"
{
    cmake -S "$ROOT/ascend310_infer" -B "$build_dir" -DMS_LITE_HOME="$lite" &&
        cmake --build "$build_dir" --parallel 2
} >"$log" 2>&1 || {
    grep -m 5 -E "error|Error" "$log" >&2 || true
    die "the build failed; see $log"
}
echo "$build_dir/main"
