"""Say what this machine can train on, and what to do where something is missing; exit code 0 if training can begin."""
import os
import platform
import re
import subprocess
import sys
import time
from glob import glob
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from src import device
from src.arguments import Parser
from src.config import read_options
from src.console import InputError, RunError, run_program, styled
from src.files import temporary_folder
from src.tools.get_multicards_json import places_here, read_table, servers_of
from src.training.memory import GB, SURE, free_memory, largest_batch

DRIVER = Path("/usr/local/Ascend/driver/version.info")
# npu-smi's two lines of a chip: | number name | health | ..., then | chip | bus | ... used / MB of its memory |
CHIP = re.compile(r"^\|\s*(\d+)\s+(\S+)\s*\|\s*(\w+)\s*\|.*\n\|.*\|.*?(\d+)\s*/\s*(\d+)\s*\|\s*$", re.MULTILINE)
WAIT = 300    # seconds until a part that does not answer is given up
# A part of this module in a process of its own: what ends that process does not end this one.
PART = ("import sys; from src.console import run_program; from src.tools import check_device; "
        "sys.exit(run_program(getattr(check_device, sys.argv[1]), sys.argv[2:]))")


class Row(NamedTuple):
    """What was found, and how to fix it where it will not do."""

    text: str
    fix: str = ""


class Place(NamedTuple):
    """What is looked at: the device, --rank_table and --ranks, and the numbers of the Ascends of this machine."""

    target: str
    rank_table: str
    ranks: int
    devices: list


def ascends() -> list:
    """Numbers of the Ascends that the driver shows, from /dev/davinci0 and its like."""
    found = (re.search(r"davinci(\d+)$", path) for path in glob(device.ASCEND_DEVICES))
    return sorted(int(number[1]) for number in found if number)


def run(command: list, **environment) -> tuple:
    """(exit code, stdout, stderr) of a command in the project's folder; 1 and the reason for one that cannot run."""
    try:
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=WAIT,
                              env={**os.environ, **environment})
        return done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer in {WAIT} s"
    except OSError as error:
        return 1, "", f"{command[0]}: {error.strerror}"


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1].strip()


def version_in(path: Path) -> str:
    """What the line Version=... of one of Huawei's version.info files says, or ""."""
    try:
        found = re.search(r"^Version=(\S+)", path.read_text(), re.MULTILINE | re.IGNORECASE)
    except OSError:
        return ""
    return found[1] if found else ""


def mindspore_row(place: Place) -> Row:
    python = f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"
    found = device.mindspore_version()
    fix = ("install MindSpore: on Ascend the one for its CANN (docs/ascend.md), else pip install -r requirements.txt "
           "-c constraints-cpu.txt")
    return Row(f"{found}; {python}") if found else Row(f"is not installed; {python}", fix)


def cann_row(place: Place) -> Row:
    home = os.environ.get("ASCEND_HOME_PATH", "")
    found = version_in(Path(home, "compiler/version.info")) if home else ""
    if found:
        return Row(f"{found} in {home}")
    if place.target != "Ascend":
        return Row("not needed here")
    if home:
        return Row(f"no version in {home}/compiler/version.info", "source set_env.sh of CANN: it sets ASCEND_HOME_PATH")
    return Row("ASCEND_HOME_PATH is not set", "source /usr/local/Ascend/cann/set_env.sh (before CANN 8.5: "
                                              "ascend-toolkit/set_env.sh) in each shell; is CANN installed at all?")


def driver_row(place: Place) -> Row:
    found = version_in(DRIVER)
    if not found and place.target != "Ascend":
        return Row("not needed here")
    return Row(found or f"no version in {DRIVER}")    # a container may not show the file; the devices below count


def devices_row(place: Place) -> Row:
    """The devices and whether this user may open them."""
    if place.target == "CPU":
        there = f"; the Ascends {place.devices} are left alone" if place.devices else f", no {device.ASCEND_DEVICES}"
        return Row(f"CPU, {device.cores()} cores{there}")
    if place.target == "GPU":
        return Row("GPU; mindspore.run_check below says whether this MindSpore can use it")
    if not place.devices:
        return Row(f"no {device.ASCEND_DEVICES}", "install the driver and the firmware (docs/ascend.md), or pass the "
                                                  "devices to this container; for the CPU give --device_target CPU")
    closed = [number for number in place.devices
              if not os.access(device.ASCEND_DEVICES.replace("*", str(number)), os.R_OK | os.W_OK)]
    visible = os.environ.get("ASCEND_RT_VISIBLE_DEVICES")
    fix = f"you may not open {closed}: sudo usermod -aG HwHiAiUser $USER, then log in again" if closed else ""
    return Row(f"Ascend {place.devices}" + (f", visible: {visible}" if visible else ""), fix)


def smi_row(place: Place) -> Row:
    """Chip, health and free memory of each device, by npu-smi's table."""
    if place.target != "Ascend":
        return Row("not needed here")
    code, out, err = run(["npu-smi", "info"])
    if code:
        return Row(last_line(err or out), "npu-smi comes with the driver; where it is there but fails, the driver does "
                                          "not run (docs/ascend.md)")
    chips = CHIP.findall(out)
    ill = [f"device {number} is {health}" for number, _, health, *_ in chips if health != "OK"]
    lines = [f"{number} {chip} {health}, {(int(total) - int(used)) / 1024:.1f} of {int(total) / 1024:.1f} GB free"
             for number, chip, health, used, total in chips]
    fix = f"{', '.join(ill)}: npu-smi info -t health -i N says why" if ill else ""
    return Row("; ".join(lines) or last_line(out), fix)


def memory_row(place: Place) -> Row:
    free, where = free_memory()
    text = f"{free / GB:.1f} GB {where}"
    if place.target != "CPU":
        return Row(text)
    batch = largest_batch("deeplab_v3_s16", 513, 21, SURE * free)
    return Row(f"{text}; training at 513 pixels takes --batch_size {batch} at most")


def table_row(place: Place) -> Row:
    """What the rank table says of this host."""
    if not place.rank_table:
        return Row("not given")
    places = read_table(place.rank_table)
    own, servers = places_here(places, None, place.rank_table), servers_of(places)
    here = own[0].server
    missing = sorted({one.device for one in own} - set(place.devices)) if place.target == "Ascend" else []
    ranks = ", ".join(f"{one.rank} on device {one.device}" for one in own)
    which = f"server {servers.index(here) + 1} of {len(servers)}" if servers[1:] else "taken as the only server"
    return Row(f"this host is {here}, {which}, with ranks {ranks}",
               f"the rank table names devices {missing} that this host lacks; get_multicards_json.py writes one"
               if missing else "")


def run_check_row(place: Place) -> Row:
    """mindspore.run_check(), and what MindSpore says of the versions beside it."""
    code, out, err = run([sys.executable, "-c", PART, "run_check", place.target], GLOG_v="2")
    unfit = [line.split("] ")[-1] for line in err.splitlines() if "does not match" in line]
    if code or "successfully" not in out:
        return Row(last_line(err if code else out), "; ".join(unfit) or "the line mindspore.run_check above says why")
    return Row(last_line(out), unfit[0] if unfit else "")


def hccl_row(place: Place) -> Row:
    """Ranks, one for each device, meet and sum up: through HCCL on Ascend, through MindSpore's own network on a CPU."""
    ranks = place.ranks if place.ranks >= 0 else len(place.devices) if place.target == "Ascend" else 0
    if ranks < 2:
        return Row("not tried: it connects several Ascends")
    is_alone = place.rank_table and len(servers_of(read_table(place.rank_table))) == 1    # others are not waiting here
    table = ["--rank_table", Path(place.rank_table).resolve()] if is_alone else ["--ranks", ranks]
    start = time.monotonic()
    with temporary_folder() as folder:
        code, _, err = run([sys.executable, "src/tools/launch.py", *table, "--device_target", place.target,
                              "--log_dir", folder, "--", "-c", PART, "meet", place.target])
    if code:
        return Row(last_line(err), "ranks do not meet: have the devices addresses (hccn_tool -i 0 -ip -g)? Is another "
                                   "training running? One device may train alone")
    return Row(f"{ranks} ranks met and summed up in {time.monotonic() - start:.0f} s")


def run_check(argv) -> None:
    """In a process of its own: MindSpore's own check on the target argv[0]."""
    device.use_device(argv[0])
    import mindspore
    mindspore.run_check()


def meet(argv) -> None:
    """In a process of its own: join the other ranks on the target argv[0] and sum a number over them."""
    place = device.open_device(argv[0], is_distributed=True)
    total = device.all_reduce(np.ones(1, np.float32))[0]
    if total != place.size:
        raise RunError(f"{place.size} ranks sum up to {total:g}")


ROWS = {"MindSpore": mindspore_row, "CANN": cann_row, "driver": driver_row, "devices": devices_row, "npu-smi": smi_row,
        "memory": memory_row, "rank table": table_row, "mindspore.run_check": run_check_row, "HCCL": hccl_row}


def look(place: Place) -> list:
    """Print a line for each of ROWS as it is found; how to fix what will not do, in their order."""
    fixes = []
    for name, row in ROWS.items():
        try:
            found = row(place)
        except InputError as error:
            found = Row("cannot be used", str(error))
        mark = styled("!", "error") if found.fix else " "
        print(f"{mark} {name:<20} {found.text}", flush=True)
        fixes += [found.fix] if found.fix else []
    return fixes


def main(argv=None):
    parser = Parser("check_device.py", description=__doc__)
    parser.add_argument("--device_target", choices=read_options()["device_target"].choices, default="auto",
                        help="device to look at; auto takes Ascend on a machine that has one (default: %(default)s)")
    parser.add_argument("--rank_table", metavar="FILE", default="", help="rank table to read as this host does")
    parser.add_argument("--ranks", metavar="N", type=int, default=-1,
                        help="processes that try to meet; 0 tries nothing (default: one for each Ascend)")
    options = parser.parse_args(argv)
    target = device.resolve_target(options.device_target)
    fixes = look(Place(target, options.rank_table, options.ranks, ascends()))
    if fixes:
        print("\nwhat to do:\n" + "\n".join(f"  {number}. {fix}" for number, fix in enumerate(fixes, 1)), flush=True)
        raise RunError(f"{len(fixes)} of {len(ROWS)} lines need something; see above")
    launcher = "run_distribute_train_s16_r1" if len(ascends()) > 1 and target == "Ascend" else "run_standalone_train"
    print(f"\nready to train on {target}: bash scripts/{launcher}.sh")


if __name__ == "__main__":
    sys.exit(run_program(main))
