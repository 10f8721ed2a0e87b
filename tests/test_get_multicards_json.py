"""Rank tables: their layout, any number of devices, several servers, the old layout, incomplete files."""
import json
import sys

import pytest

from src.foreign import shown
from src.tools import get_multicards_json
from src.tools.get_multicards_json import Place, read_table
from tests.conftest import ROOT


def hccn(path, devices, network=100):
    lines = ["# written by hccn_tool"]
    for device in devices:
        lines += [f"address_{device}=192.168.{network}.{device}", f"netmask_{device}=255.255.255.0"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_table_of_one_server(run, tmp_path):
    result = run(get_multicards_json.main, "10.1.2.3", "--hccn_conf", hccn(tmp_path / "hccn.conf", (0, 1, 10, 2)))
    assert result.code == 0 and "rank_table_4p.json: 4 devices on 1 server (10.1.2.3)" in result.out
    assert json.loads((tmp_path / "rank_table_4p.json").read_text()) == {
        "version": "1.0", "server_count": "1", "status": "completed", "server_list": [{
            "server_id": "10.1.2.3", "device": [
                {"device_id": "0", "device_ip": "192.168.100.0", "rank_id": "0"},
                {"device_id": "1", "device_ip": "192.168.100.1", "rank_id": "1"},
                {"device_id": "2", "device_ip": "192.168.100.2", "rank_id": "2"},
                {"device_id": "10", "device_ip": "192.168.100.10", "rank_id": "3"}]}]}


def test_the_old_layout(run, tmp_path):
    run(get_multicards_json.main, "10.1.2.3", "--hccn_conf", hccn(tmp_path / "h", range(8)), "--devices", 6, 7,
        "--legacy", "--output", "old.json")
    table = json.loads((tmp_path / "old.json").read_text())
    assert table.pop("board_id") in ("0x0000", "0x0020")
    assert table == {
        "chip_info": "910", "deploy_mode": "lab", "group_count": "1", "status": "completed",
        "group_list": [{
            "device_num": "2", "server_num": "1", "group_name": "", "instance_count": "2", "instance_list": [
                {"devices": [{"device_id": "6", "device_ip": "192.168.100.6"}], "rank_id": "0",
                 "server_id": "10.1.2.3"},
                {"devices": [{"device_id": "7", "device_ip": "192.168.100.7"}], "rank_id": "1",
                 "server_id": "10.1.2.3"}]}],
        "para_plane_nic_location": "device", "para_plane_nic_name": ["eth6", "eth7"], "para_plane_nic_num": "2"}
    assert read_table("old.json") == [
        Place(0, "10.1.2.3", 6, "192.168.100.6"), Place(1, "10.1.2.3", 7, "192.168.100.7")]


def test_tables_of_servers_are_merged(run, tmp_path):
    """Of either layout, of different numbers of devices."""
    run(get_multicards_json.main, "10.0.0.1", "--hccn_conf", hccn(tmp_path / "a", (0, 1), 1), "--output", "a.json")
    run(get_multicards_json.main, "10.0.0.2", "--hccn_conf", hccn(tmp_path / "b", (4,), 2), "--output", "b.json",
        "--legacy")
    result = run(get_multicards_json.main, "--merge", "a.json", "b.json")
    assert result.code == 0, result.err
    assert read_table("rank_table_3p.json") == [
        Place(0, "10.0.0.1", 0, "192.168.1.0"), Place(1, "10.0.0.1", 1, "192.168.1.1"),
        Place(2, "10.0.0.2", 4, "192.168.2.4")]
    table = json.loads((tmp_path / "rank_table_3p.json").read_text())
    assert table["server_count"] == "2" and [len(server["device"]) for server in table["server_list"]] == [2, 1]
    twice = run(get_multicards_json.main, "--merge", "a.json", "a.json")
    assert twice.code == 2 and "server 10.0.0.1 is in a.json already" in twice.err


@pytest.mark.parametrize("text, part", [
    (None, "cannot be read"), ("", "no line address_N=IP"), ("netmask_0=255.255.255.0\n", "no line address_N=IP"),
    ("address_0=\n", "line 1: 'address_0=' is not address_N=IP"),
    ("address_0=10.0.0.1\naddress_1\n", "line 2: 'address_1' is not"),
    ("address_0=10.0.0\n", "line 1: 'address_0=10.0.0' is not"), ("address_x=10.0.0.1\n", "'address_x=10.0.0.1'"),
    ("address_0=10.0.0.1\naddress_0=10.0.0.2\n", "device 0 has an address already")])
def test_half_files_are_named(text, part, run, tmp_path):
    if text is not None:
        (tmp_path / "hccn.conf").write_text(text)
    result = run(get_multicards_json.main, "10.0.0.1", "--hccn_conf", "hccn.conf")
    assert result.code == 2 and "--hccn_conf hccn.conf" in result.err and part in result.err
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("arguments, part", [
    ([], "SERVER_IP or --merge"), (["10.0.0.1", "--merge", "a"], "SERVER_IP or --merge"), (["box"], "SERVER_IP box"),
    (["10.0.0.1", "--hccn_conf", "h", "--devices", "9"], "h has no line address_9=IP")])
def test_bad_arguments(arguments, part, run, tmp_path):
    hccn(tmp_path / "h", (0, 1))
    result = run(get_multicards_json.main, *arguments)
    assert result.code == 2 and part in result.err, result


@pytest.mark.parametrize("place, part", [("h/t.json", "cannot be written"), (".", "is a folder, not a file")])
def test_a_place_that_cannot_be_written(place, part, run, tmp_path):
    hccn(tmp_path / "h", (0, 1))
    result = run(get_multicards_json.main, "10.0.0.1", "--hccn_conf", "h", "--output", place)
    assert result.code == 2 and f"--output {place}: {part}" in result.err, result
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h"]


def test_only_an_earlier_table_is_replaced_and_no_input(run, tmp_path):
    short = ["10.0.0.1", "--hccn_conf", hccn(tmp_path / "h", (0, 1))]
    for legacy in ([], ["--legacy"]):    # over the table before, of either layout
        for _ in range(2):
            assert run(get_multicards_json.main, *short, *legacy, "--output", "t.json").code == 0
    (tmp_path / "mine.json").write_text('{"version": "1.0"}')
    result = run(get_multicards_json.main, *short, "--output", "mine.json")
    assert result.code == 2 and "--output mine.json: exists and is not a rank table" in result.err, result
    assert (tmp_path / "mine.json").read_text() == '{"version": "1.0"}'
    table = (tmp_path / "t.json").read_bytes()
    for arguments, name in ((["--merge", "t.json"], "t.json"), (short, "h")):
        result = run(get_multicards_json.main, *arguments, "--output", name)
        assert result.code == 2 and f"--output {name}: is the input" in result.err, result
    assert (tmp_path / "t.json").read_bytes() == table and "address_0=" in (tmp_path / "h").read_text()


@pytest.mark.parametrize("table, part", [
    ("{", "is not a rank table"), ("[]", "is not a rank table"), ('{"server_list": [{}]}', "KeyError"),
    ('{"server_list": [], "status": "completed"}', "its ranks are []"),
    ('{"server_list": [], "status": "initializing"}', "'initializing'"),
    ('{"status": "completed", "server_list": [{"server_id": "a", "device": [{"device_id": "0", "rank_id": "1"}]}]}',
     "[1], not 0 to 0"),
    ('{"status": "completed", "server_list": [{"server_id": "a", "device": [{"device_id": "0", "rank_id": "0"},'
     '{"device_id": "0", "rank_id": "1"}]}]}', "two ranks"), ("[" * 100000, "RecursionError")])
def test_bad_tables_are_named(table, part, run, tmp_path):
    (tmp_path / "t.json").write_text(table)
    result = run(get_multicards_json.main, "--merge", "t.json")
    assert result.code == 2 and "rank table t.json: " in result.err and part in result.err


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["rank_id", "device_id", "server_id", "device_ip"])
@pytest.mark.parametrize("value", [["10.0.0.1"], {}, None, 1.5, True, -1, "a\nb"])
def test_values_of_another_kind_are_named(key, value, legacy, run, tmp_path):
    rank, server, device, ip = ({name: value if name == key else "0"}
                                for name in ("rank_id", "server_id", "device_id", "device_ip"))
    table = ({"group_list": [{"instance_list": [{**rank, **server, "devices": [{**device, **ip}]}]}]} if legacy else
             {"server_list": [{**server, "device": [{**rank, **device, **ip}]}]})
    (tmp_path / "t.json").write_text(json.dumps({"status": "completed", **table}))
    result = run(get_multicards_json.main, "--merge", "t.json")
    assert result.code == 2 and f"{key} {shown(value)} is not a" in result.err, result
    assert "get_multicards_json.py writes one" in result.err and len(result.err.splitlines()) == 1


def test_as_published_from_another_folder(shell, tmp_path):
    result = shell(sys.executable, ROOT / "src/tools/get_multicards_json.py", "10.0.0.1", "--hccn_conf",
                   hccn(tmp_path / "hccn.conf", range(8)))
    assert result.code == 0 and len(read_table(tmp_path / "rank_table_8p.json")) == 8
