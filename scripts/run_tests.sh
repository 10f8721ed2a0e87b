#!/usr/bin/env bash
# Install the requirements of the tests and run them.
#
# Usage: bash run_tests.sh [--yes] [options of pytest]
#
# Installs into the active environment or PYTHON, otherwise into .venv. An installed MindSpore is never changed. If other
# packages would be replaced, they are listed and nothing is installed without --yes (also: ASSUME_YES=1).
# As root on Debian or Ubuntu, the system packages of tests/packages.txt are installed too.
# Two test files run at the same time; `-n 0` runs one at a time.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# Bring the system packages that are missing, one by one: one that cannot be had must not keep the others out.
install_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null || return 0
    while read -r package; do
        [[ -z "$package" || "$package" == "#"* ]] && continue
        [[ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" == "install ok installed" ]] || missing+=("$package")
    done <"$ROOT/tests/packages.txt"
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        echo "some tests will be skipped; to run them: apt-get install ${missing[*]}" >&2
        return 0
    fi
    echo "installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >/dev/null 2>&1 || true # an old list may do
    for package in "${missing[@]}"; do
        apt-get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "some tests will be skipped: apt-get install $package failed" >&2
    done
}

case "${1:-}" in
--help | -h) usage && exit 0 ;;
--yes) export ASSUME_YES=1 && shift ;;
esac
install "$ROOT/requirements.txt" "$ROOT/tests/requirements.txt"
install_packages
cd "$ROOT"
exec "$PYTHON" -m pytest -n 2 --dist loadfile "$@"
