#!/usr/bin/env bash
# Install what testing needs and run the tests.
#
# Usage: bash run_tests.sh [--yes] [options of pytest]
#
# Installs into the active environment or PYTHON, otherwise into .venv. A MindSpore that is there is never changed; other
# packages that would be replaced are named, and nothing is done without --yes or ASSUME_YES=1, which agree to it.
# Two files of tests run beside each other; `-n 0` runs one after the other.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
case "${1:-}" in
--help | -h) usage && exit 0 ;;
--yes) export ASSUME_YES=1 && shift ;;
esac
install "$ROOT/requirements.txt" "$ROOT/tests/requirements.txt"
cd "$ROOT"
exec "$PYTHON" -m pytest -n 2 --dist loadfile "$@"
