#!/usr/bin/env bash
# Print the folder of a MindSpore Lite SDK: MS_LITE_HOME, or a wheel that is downloaded from PyPI once into .cache.
#
# Usage: bash get_mindspore_lite.sh
#
# MS_LITE_HOME is an unpacked official package (runtime/lib; needed for Ascend) or an unpacked wheel (lib). The wheel
# holds the C++ headers and libraries for x86-64 CPUs; its version 2.0.0 reads MINDIR version 1.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
case "${1:-}" in --help | -h) usage && exit 0 ;; esac

version=2.0.0
wheel="mindspore_lite-$version-cp37-cp37m-manylinux1_x86_64.whl"
digest=199cd0605cc985b88eddb273db9dfe9000a585ba10ca2292b6b36ebfff07b3ec
cache="$ROOT/.cache"
target="$cache/mindspore_lite-$version"

if [[ -n "${MS_LITE_HOME:-}" ]]; then
    for header in runtime/include/api/model.h include/api/model.h; do
        [[ -f "$MS_LITE_HOME/$header" ]] && echo "$MS_LITE_HOME" && exit
    done
    die "MS_LITE_HOME=$MS_LITE_HOME: holds neither runtime/include/api/model.h nor include/api/model.h;" \
        "fix: unpack the MindSpore Lite package there, or unset it to fetch version $version for CPUs"
fi
if [[ ! -d "$target" ]]; then
    [[ "$(uname -m)" == x86_64 ]] || die "PyPI has mindspore-lite $version for x86-64 only, but this is $(uname -m);" \
        "fix: install MindSpore Lite and set MS_LITE_HOME"
    find_python
    mkdir -p "$cache"
    aside="$(mktemp -d "$cache/lite.XXXXXX")"
    trap 'rm -rf "$aside"' EXIT
    echo "fetching mindspore-lite $version (169 MB, once)" >&2
    # The wheel is for Python 3.7, but only its C++ part is used: any Python may fetch it.
    quiet=()
    if [[ ! -t 2 ]]; then quiet=(--quiet); fi # on a terminal pip shows its progress bar
    "$PYTHON" -m pip download "${quiet[@]}" --disable-pip-version-check --no-deps --only-binary=:all: --python-version 37 \
        --implementation cp --abi cp37m --platform manylinux1_x86_64 --dest "$aside" "mindspore-lite==$version" >&2 ||
        die "mindspore-lite $version could not be fetched; see pip's message above, or set MS_LITE_HOME"
    echo "$digest  $aside/$wheel" | sha256sum --check --quiet >&2 ||
        die "$wheel: its SHA-256 is not $digest; the download is not used"
    "$PYTHON" -m zipfile -e "$aside/$wheel" "$aside/unpacked"
    mv "$aside/unpacked/mindspore_lite" "$target"
fi
echo "$target"
