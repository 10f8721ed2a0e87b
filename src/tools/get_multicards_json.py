"""Rank tables: write one from a server's hccn.conf, merge those of several servers, read either layout."""
import ipaddress
import json
import platform
import re
import socket
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.console import InputError, number_of, run_program
from src.files import check_output, recognised, write_whole
from src.foreign import has_control, shown

EPILOG = "Several servers: run it on each, then: get_multicards_json.py --merge first.json second.json"


class Place(NamedTuple):
    """Where one rank runs."""

    rank: int
    server: str
    device: int
    device_ip: str


def read_devices(path) -> dict:
    """IP by device number from the lines address_N=IP of a hccn.conf.

    Raises InputError, with file and line, for an incomplete line, and for a file without addresses.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--hccn_conf {path}: cannot be read ({error}); it lists the devices' addresses, usually "
                         "/etc/hccn.conf; hccn_tool -i N -ip -g prints them") from None
    devices = {}
    for number, line in enumerate(lines, 1):
        if not line.strip().startswith("address_"):
            continue
        found = re.fullmatch(r"address_(\d+)=(\S+)", line.strip())
        if not found or not is_address(found[2]):
            raise InputError(f"--hccn_conf {path} line {number}: {line.strip()!r} is not address_N=IP")
        if int(found[1]) in devices:
            raise InputError(f"--hccn_conf {path} line {number}: device {found[1]} has an address already")
        devices[int(found[1])] = found[2]
    if not devices:
        raise InputError(f"--hccn_conf {path}: no line address_N=IP; hccn_tool -i N -ip -s address IP netmask MASK "
                         "gives device N an address")
    return devices


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False


def chosen(devices: dict, wanted, path) -> list:
    """(number, IP) of the devices `wanted` (None: all), in the order of their numbers."""
    missing = [number for number in wanted or [] if number not in devices]
    if missing:
        raise InputError(f"--devices {missing[0]}: {path} has no line address_{missing[0]}=IP, only those of "
                         f"{', '.join(map(str, sorted(devices)))}")
    return [(number, devices[number]) for number in sorted(set(wanted or devices))]


def format_table(places: list) -> dict:
    """The current layout, version 1.0."""
    servers = [{"server_id": server, "device": [
        {"device_id": str(place.device), "device_ip": place.device_ip, "rank_id": str(place.rank)}
        for place in places if place.server == server]} for server in servers_of(places)]
    return {"version": "1.0", "server_count": str(len(servers)), "server_list": servers, "status": "completed"}


def format_legacy(places: list) -> dict:
    """The old layout, as in the model zoo."""
    count = str(len(places))
    names = [f"eth{place.device}" for place in places]
    board = "0x0020" if platform.machine() == "aarch64" else "0x0000"
    instances = [{"devices": [{"device_id": str(place.device), "device_ip": place.device_ip}],
                  "rank_id": str(place.rank), "server_id": place.server} for place in places]
    group = {"device_num": count, "server_num": str(len(servers_of(places))), "group_name": "",
             "instance_count": count, "instance_list": instances}
    return {"board_id": board, "chip_info": "910", "deploy_mode": "lab", "group_count": "1", "group_list": [group],
            "para_plane_nic_location": "device", "para_plane_nic_name": sorted(set(names), key=names.index),
            "para_plane_nic_num": str(len(set(names))), "status": "completed"}


def servers_of(places: list) -> list:
    """Servers in the order of their first ranks."""
    return list(dict.fromkeys(place.server for place in places))


def place_in(row: dict) -> Place:
    """The Place in the values of a table. Raises ValueError for one of another kind, KeyError for a missing one."""
    row = {"device_ip": "", **row}
    for key in ("rank_id", "device_id"):
        if type(row[key]) not in (int, str) or not re.fullmatch(r"\d{1,9}", str(row[key])):
            raise ValueError(f"{key} {shown(row[key])} is not a number from 0 up")
    for key in ("server_id", "device_ip"):
        if not isinstance(row[key], str) or has_control(row[key]):
            raise ValueError(f"{key} {shown(row[key])} is not a text of one line")
    return Place(int(row["rank_id"]), row["server_id"], int(row["device_id"]), row["device_ip"])


def read_table(path) -> list:
    """Places of a rank table of either layout, by rank.

    Raises InputError if the file is not a rank table or not completed, or if its ranks are not 0 to N - 1.
    """
    try:
        table = json.loads(Path(path).read_text())
        if "server_list" in table:
            rows = [server | device for server in table["server_list"] for device in server["device"]]
        else:
            rows = [entry | device for group in table["group_list"] for entry in group["instance_list"]
                    for device in entry["devices"]]
        places = sorted(map(place_in, rows))
        status = table.get("status")
    except OSError as error:
        raise InputError(f"rank table {path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"rank table {path}: is not a rank table, neither server_list nor group_list could be read "
                         f"({type(error).__name__}: {error}); src/tools/get_multicards_json.py writes one") from None
    if status != "completed":
        raise InputError(f"rank table {path}: its status is {shown(status)}, not 'completed'")
    if not places or [place.rank for place in places] != list(range(len(places))):
        raise InputError(f"rank table {path}: its ranks are {[place.rank for place in places]}, "
                         f"not 0 to {max(len(places) - 1, 0)}")
    if len({place[1:3] for place in places}) < len(places):
        raise InputError(f"rank table {path}: one device of a server has two ranks")
    return places


def is_local(address: str) -> bool:
    """Whether this machine has the address: a socket can be bound to it."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
        return True
    except OSError:
        return False


def places_here(places: list, node_rank, path) -> list:
    """The Places of a rank table that are on this machine: the server with the number `node_rank`; without one, the
    only server, or the one whose address is this machine's."""
    servers = servers_of(places)
    if node_rank is not None:
        if node_rank >= len(servers):
            raise InputError(f"NODE_RANK {node_rank}: {path} lists {len(servers)} servers")
        here = servers[node_rank]
    else:
        here = next((server for server in servers if len(servers) == 1 or is_local(server)), None)
    if here is None:
        raise InputError(f"rank table {path}: none of its servers {', '.join(servers)} is an address of this machine; "
                         "set NODE_RANK to this machine's place among them, counted from 0")
    return [place for place in places if place.server == here]


def merge(paths: list) -> list:
    """Places of all tables; ranks continue from table to table."""
    places, origin = [], {}
    for path in paths:
        table = read_table(path)
        for server in servers_of(table):
            if server in origin:
                raise InputError(f"--merge {path}: server {server} is in {origin[server]} already")
            origin[server] = path
        places += [place._replace(rank=len(places) + place.rank) for place in table]
    return places


def check_place(path: Path, inputs: list) -> None:
    """Raises InputError if a table cannot be written there: only an earlier table is replaced, and no input."""
    target = check_output(path, "--output", inputs=inputs)
    if target.exists() and target.stat().st_size and not recognised(target, "rank_table"):
        raise InputError(f"--output {path}: exists and is not a rank table, so it is not replaced; give another name")


def main(argv=None):
    parser = Parser("get_multicards_json.py", description=__doc__, epilog=EPILOG)
    parser.add_argument("server_ip", nargs="?", metavar="SERVER_IP", help="address of this server")
    parser.add_argument("--hccn_conf", metavar="FILE", default="/etc/hccn.conf",
                        help="the server's addresses of its devices (default: %(default)s)")
    parser.add_argument("--devices", metavar="N", type=int, nargs="+", help="devices to use (default: all of the file)")
    parser.add_argument("--merge", metavar="FILE", nargs="+", help="rank tables to join into one")
    parser.add_argument("--legacy", action="store_true", help="write the old layout, as in the model zoo")
    parser.add_argument("--output", metavar="FILE", help="file to write (default: rank_table_<devices>p.json here)")
    options = parser.parse_args(argv)
    if bool(options.server_ip) == bool(options.merge):
        raise InputError("give either SERVER_IP or --merge FILE ...; see --help")
    if options.merge:
        places = merge(options.merge)
    else:
        if not is_address(options.server_ip):
            raise InputError(f"SERVER_IP {options.server_ip}: is not an IP address")
        devices = chosen(read_devices(options.hccn_conf), options.devices, options.hccn_conf)
        places = [Place(rank, options.server_ip, device, ip) for rank, (device, ip) in enumerate(devices)]
    table = format_legacy(places) if options.legacy else format_table(places)
    path = Path(options.output or f"rank_table_{len(places)}p.json")
    check_place(path, options.merge or [options.hccn_conf])
    write_whole(path, (json.dumps(table, indent=4) + "\n").encode(), "--output")
    servers = servers_of(places)
    print(f"{path}: {number_of(len(places), 'device')} on {number_of(len(servers), 'server')} ({', '.join(servers)})")


if __name__ == "__main__":
    sys.exit(run_program(main))
