#!/usr/bin/env bash
# The published, misspelt name of run_eval_s8_multiscale_flip.sh.
exec bash "$(dirname "$0")/run_eval_s8_multiscale_flip.sh" "$@"
