"""Start one process of a program for each device, watch them, and end all of them together.

MindSpore's msrun starts ranks too, but it leaves them running when it is terminated, returns 0 after Ctrl-C, and kills
ranks without time to save. This program sets the same environment variables, or those of a rank table.
"""
import contextlib
import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.claims import claim_folder
from src.console import InputError, run_program, warn
from src.device import resolve_target
from src.foreign import reason
from src.signals import on_signals
from src.tools.get_multicards_json import places_here, read_table

SCHEDULER = "from mindspore.communication import init; init()"    # meets the ranks, and ends when they have ended
MSRUN_PORT = 8118
LAST_LINES = 15
FAILURE_GRACE = 10    # seconds; ranks that wait for a dead one in MindSpore's code do not get signals in Python
PR_SET_PDEATHSIG = 1


class Process(NamedTuple):
    """A process to start: what to call it, where it logs, what is added to the environment, its command, its cores."""

    name: str
    log: Path
    environment: dict
    command: list
    cores: tuple = ()    # all that this launcher may use, where it is empty


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_port(port: int) -> None:
    """Raises InputError if the port for the ranks is in use or not permitted."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)    # a port that was just released is free
        try:
            probe.bind(("", port))
        except (OSError, OverflowError) as error:
            raise InputError(f"MASTER_PORT {port}: cannot be used ({reason(error)}); give another, or none on one "
                             "machine: then a free one is used") from None


def ranks_of_table(options) -> tuple:
    """(rank, device) pairs of this server, total number of ranks, address of the first server."""
    places = read_table(options.rank_table)
    here = places_here(places, options.node_rank, options.rank_table)
    return [(place.rank, place.device) for place in here], len(places), places[0].server


def ranks_of_count(options) -> tuple:
    """The same without a table: ranks are spread evenly over the machines; devices are counted from 0 on each."""
    count = options.ranks if options.ranks is not None else 8 * options.nodes
    if count < 1 or count % options.nodes:
        raise InputError(f"RANK_SIZE {count}: cannot be spread evenly over NODES {options.nodes}")
    if options.nodes > 1 and not options.master_addr:
        raise InputError(f"NODES {options.nodes}: set MASTER_ADDR to the address of the machine with NODE_RANK 0")
    node = options.node_rank or 0
    if options.nodes > 1 and options.node_rank is None or node >= options.nodes:
        raise InputError(f"NODES {options.nodes}: set NODE_RANK on each machine, 0 to {options.nodes - 1}")
    each = count // options.nodes
    return [(node * each + device, device) for device in range(each)], count, options.master_addr or "127.0.0.1"


def share(cores: tuple, place: int, count: int) -> tuple:
    """The cores of the rank at `place` of `count`: neighbours, evenly; ranks share one where there are too few."""
    first, end = (number * len(cores) // count for number in (place, place + 1))
    return cores[first:max(end, first + 1)]


def plan(options) -> list:
    """The processes of this machine: its ranks, and on the first machine the scheduler if the ranks need one."""
    ranks, count, master = (ranks_of_table if options.rank_table else ranks_of_count)(options)
    shared = {"RANK_SIZE": str(count)}
    if options.rank_table:
        shared["RANK_TABLE_FILE"] = str(Path(options.rank_table).resolve())
    # Only HCCL can connect by a rank table.
    meet = not options.rank_table or resolve_target(options.device_target) == "CPU"
    if meet:
        alone = len(ranks) == count
        port = options.master_port or (free_port() if alone else MSRUN_PORT)
        if ranks[0][0] == 0 and not options.dry_run:
            check_port(port)
        shared |= {"MS_WORKER_NUM": str(count), "MS_SCHED_HOST": "127.0.0.1" if alone else master,
                   "MS_SCHED_PORT": str(port), "MS_TOPO_TIMEOUT": os.environ.get("MS_TOPO_TIMEOUT", "600")}
    command = [sys.executable, *options.command]
    cores = tuple(sorted(os.sched_getaffinity(0))) if options.bind_core == "True" else ()
    processes = []
    for place, (rank, device) in enumerate(ranks):
        own = {"RANK_ID": str(rank), "DEVICE_ID": str(device)}
        if meet:
            own |= {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}
        processes.append(Process(f"rank {rank}", Path(options.log_dir, f"device{rank}", "log"), shared | own, command,
                                 share(cores, place, len(ranks))))
    if meet and ranks[0][0] == 0:
        processes.append(Process("scheduler", Path(options.log_dir, "scheduler", "log"),
                                 shared | {"MS_ROLE": "MS_SCHED", "RANK_ID": "0"}, [sys.executable, "-c", SCHEDULER]))
    return processes


def keep(path: Path) -> None:
    """Rename an existing file by adding a number."""
    if path.exists():
        number = next(number for number in range(1, 10**6) if not Path(f"{path}.{number}").exists())
        path.rename(f"{path}.{number}")


def start(process: Process) -> subprocess.Popen:
    """Start a process in a session of its own, so that its children can be ended too; it is killed if this launcher is
    killed."""
    try:
        process.log.parent.mkdir(parents=True, exist_ok=True)
        keep(process.log)
        log = process.log.open("wb")
    except OSError as error:
        raise InputError(f"{process.log}: cannot be written ({error.strerror})") from None
    left_over = ("MS_ROLE", "MS_NODE_ID", "MS_SCHED_HOST", "MS_SCHED_PORT", "MS_WORKER_NUM", "RANK_TABLE_FILE")
    inherited = {name: value for name, value in os.environ.items() if name not in left_over}
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if process.cores:
            os.sched_setaffinity(0, process.cores)    # before anything counts cores for its threads

    with log:
        return subprocess.Popen(process.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                env=inherited | process.environment, start_new_session=True,
                                preexec_fn=prepare)


def send(running: list, signum) -> None:
    """Send a signal to each process and its children."""
    for child in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signum)


def how_it_ended(process: Process, code: int) -> str:
    """Error text: how a process ended and the last lines of its log."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    lines = process.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"error: {process.name} {how}; the last lines of {process.log}:", *(f"    {x}" for x in lines)])


class Watch:
    """Waits until all ranks have succeeded, one has failed, or this launcher gets a signal; then ends the others."""

    def __init__(self, processes: list, grace: float):
        self.processes, self.grace, self.children, self.asked, self.interrupts = processes, grace, [], None, 0
        on_signals(self.on_signal)

    def on_signal(self, signum, frame):
        if signum == signal.SIGINT and self.interrupts:    # only a second Ctrl-C ends the waiting
            send(self.children, signal.SIGKILL)
        self.interrupts += signum == signal.SIGINT
        self.asked = self.asked or signum

    def run(self) -> int:
        try:
            for process in self.processes:
                self.children.append(start(process))
            self.log = self.processes[0].log.open("rb")
            while self.going_on():
                time.sleep(0.1)
                self.show_new()
            return self.outcome()
        finally:
            self.end()

    def show_new(self) -> None:
        """Print what was added to the first log; the process writes the file itself, so it never waits for the console.
        """
        sys.stdout.buffer.write(self.log.read())
        sys.stdout.buffer.flush()

    def going_on(self) -> bool:
        codes = self.codes()
        return self.asked is None and any(code is None for code in codes) and not any(codes)

    def codes(self) -> list:
        """Exit codes of the ranks, and of the scheduler if it failed; it ends after the ranks."""
        codes = [child.poll() for child in self.children]
        if self.processes[-1].name == "scheduler" and not codes[-1]:
            codes.pop()
        return codes

    def outcome(self) -> int:
        """Print what happened, end the other processes, return the exit code."""
        failed = [(code, i) for i, code in enumerate(self.codes()) if code]
        self.end()
        self.show_new()
        if self.asked is not None:
            code = self.children[0].poll()    # rank 0 saves; its code tells whether it did
            warn(f"{'interrupted' if self.asked == signal.SIGINT else signal.Signals(self.asked).name}: "
                 "all ranks were ended")
            return code if code > 0 else 128 + self.asked
        if not failed:
            return 0
        code, first = min(failed)    # prefer a killed rank: the errors of the others follow from it
        print(how_it_ended(self.processes[first], code), file=sys.stderr, flush=True)
        return code if code > 0 else 1

    def end(self) -> None:
        """SIGTERM (after Ctrl-C: SIGINT), time to save, then SIGKILL for all ranks that are left and their children."""
        ranks = [child for child, process in zip(self.children, self.processes) if process.name != "scheduler"]

        def running() -> list:
            return [child for child in ranks if child.poll() is None]
        send(running(), self.asked or signal.SIGTERM)
        limit = time.monotonic() + (FAILURE_GRACE if self.asked is None else self.grace)
        # Rank 0 saves for all; ranks that wait for it in a collective operation would wait for ever.
        while running() and time.monotonic() < limit and (self.asked is None or ranks[0].poll() is None):
            time.sleep(0.1)
        send(self.children, signal.SIGKILL)
        for child in self.children:
            child.wait()


def main(argv=None):
    parser = Parser("launch.py", description=__doc__)
    parser.add_argument("--rank_table", metavar="FILE", help="rank table with the ranks and devices")
    parser.add_argument("--ranks", metavar="N", type=int, help="number of ranks without a table (default: 8 a machine)")
    parser.add_argument("--nodes", metavar="N", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument("--node_rank", metavar="N", type=int, help="number of this machine, from 0")
    parser.add_argument("--master_addr", metavar="IP", help="address of machine 0")
    parser.add_argument("--master_port", metavar="N", type=int,
                        help=f"free port there (default: a free one on one machine, {MSRUN_PORT} for several)")
    parser.add_argument("--device_target", metavar="NAME", default="auto",
                        help="on a CPU the ranks of a table connect without HCCL (default: %(default)s)")
    parser.add_argument("--log_dir", metavar="DIR", required=True, help="rank N logs to DIR/deviceN/log")
    parser.add_argument("--grace", metavar="SECONDS", type=float, default=60,
                        help="time that ranks have to save after SIGTERM or Ctrl-C, less than what the cluster gives "
                             "before it kills (default: %(default)g)")
    parser.add_argument("--bind_core", metavar="True|False", nargs="?", const="True", default="False",
                        choices=("True", "False"), help="each rank runs on its share of the cores only, neighbours, as "
                                                        "msrun's option does (default: %(default)s)")
    parser.add_argument("--dry_run", action="store_true", help="print the commands")
    parser.add_argument("command", metavar="PROGRAM ...", nargs="+", help="after --: program.py and its options")
    options = parser.parse_args(argv)
    if options.nodes < 1 or (options.node_rank or 0) < 0:
        raise InputError("NODES must be at least 1 and NODE_RANK at least 0")
    processes = plan(options)
    if options.dry_run:
        for process in processes:
            values = [f"{name}={shlex.quote(value)}" for name, value in process.environment.items()]
            bound = ["taskset", "-c", ",".join(map(str, process.cores))] if process.cores else []
            print(*values, shlex.join([*bound, *process.command]), ">", shlex.quote(str(process.log)))
        return
    claim_folder(options.log_dir, "--log_dir")
    sys.exit(Watch(processes, options.grace).run())


if __name__ == "__main__":
    sys.exit(run_program(main, has_own_signals=True))
