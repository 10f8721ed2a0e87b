#!/usr/bin/env bash
# Install what testing needs and run the tests.
#
# Usage: bash run_tests.sh [options of pytest]
#
# Two files of tests run beside each other; `-n 0` runs one after the other.

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case "${1:-}" in --help | -h) usage && exit 0 ;; esac
install "$ROOT/requirements.txt" "$ROOT/tests/requirements.txt"
cd "$ROOT"
exec "$PYTHON" -m pytest -n 2 --dist loadfile "$@"
