"""Run a command and print its peak memory in MB as the last line: `python benchmarks/peak_memory.py COMMAND ...`.

A process of its own because Linux counts what a process was before it called exec: a program that a large one starts
seems to be as large.
"""
import resource
import subprocess
import sys


def run_measured(command) -> tuple:
    """Run a command from a small process; its standard output and its peak memory in MB. Ends the run if it fails."""
    done = subprocess.run([sys.executable, __file__, *map(str, command)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stdout}")
    output, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    return output, float(peak)


def main():
    status = subprocess.run(sys.argv[1:]).returncode
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    sys.exit(status)


if __name__ == "__main__":
    main()
