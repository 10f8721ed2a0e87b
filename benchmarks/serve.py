"""One side of a figure in a process of its own: `python benchmarks/serve.py MODULE:FUNCTION JSON`, used by run.py.

The function makes a `turn`, which is called once for each line of standard input. Each answer is a line of JSON: the
seconds of the turn, the peak memory of this process in MB, and the values that the turn returns, which replace these.
"""
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)    # output of libraries must not mix with the answers

    def say(value):
        print(json.dumps(value), file=answers, flush=True)

    job, options = json.loads(sys.argv[2])
    cores = options.pop("cores", 0)
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])    # before any library counts them
    from benchmarks.prepare import Job, Unavailable
    module, function = sys.argv[1].split(":")
    try:
        turn = getattr(importlib.import_module(f"benchmarks.{module}"), function)(Job(**job), **options)
    except (ImportError, Unavailable) as error:
        return say({"missing": str(error)})
    say({})
    for _ in sys.stdin:
        start = time.perf_counter()
        found = turn() or {}
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say({"s": seconds, "mb": peak, **found})
    sys.stderr.flush()
    os._exit(0)    # does not wait for MindSpore's threads


if __name__ == "__main__":
    main()
