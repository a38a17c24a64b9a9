"""What a machine's disks hold after its end: volumes, and Skep's own state, without a call; foreign disks as they were."""

import contextlib
import hashlib
import os
import subprocess

import pytest

import skep
from conftest import NEIGHBOUR
from helpers import MIB, disk_image, example, guest_program, is_problem
from storage import (
    LARGE_BLOCKS,
    data_of,
    digest,
    format_disk,
    fsck,
    put_data,
    said,
    start,
    volume,
    volume_status,
)


def power_cut(machine):
    machine.process.kill()
    machine.process.wait(10)


def orderly(machine):
    assert machine.api.post("/v1/host/shutdown").status_code == 202
    skep.wait_for(lambda: machine.process.poll() is not None, "QEMU ends", 30)
    assert machine.process.returncode == 0, machine.serial_tail()


@contextlib.contextmanager
def booted(folder, disks, known=None, **options):
    """A Skep with its API up. With the machine of an earlier boot, no token is given, and that one's is used."""
    with skep.Machine(
        folder,
        elf=skep.build_exists(),
        disks=disks,
        forwards=[NEIGHBOUR],
        token="" if known else None,
        **options,
    ) as machine:
        if known:
            machine.token = known.token
        machine.wait_api()
        yield machine
        assert "PANIC" not in machine.serial_text(), machine.serial_tail()


def storage_of(machine):
    return machine.api.host()["storage"]


def items(api, kind, *fields):
    """What there is of a kind, by name: some of its fields, or all."""
    found = api.ok("GET", f"/v1/{kind}")["items"]
    return {item["name"]: {key: item[key] for key in fields or item} for item in found}


# ---- foreign disks ----


def gpt(path):
    with open(path, "r+b") as file:
        file.seek(510)
        file.write(b"\x55\xaaEFI PART\x00\x00\x01\x00")


def mbr(path):
    with open(path, "r+b") as file:
        file.seek(446)
        file.write(bytes.fromhex("80200000 83feffff 00080000 00f00100".replace(" ", "")))
        file.seek(510)
        file.write(b"\x55\xaa")


def ext4(path):
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", path], check=True, timeout=60)


def random_data(path):
    path.write_bytes(os.urandom(32 * MIB))


def nothing(path):
    pass


FOREIGN = {
    "ext2, ext3 or ext4": (ext4, ""),
    "GPT partition table": (gpt, ""),
    "MBR partition table": (mbr, f",{LARGE_BLOCKS}"),
    "unknown data": (random_data, ""),
    "empty": (nothing, ",readonly=on"),
}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_foreign_disks_are_not_touched(folder, tmp_path):
    """They are told of, and without a disk of Skep's nothing is kept, which is told too."""
    disks, before = [], {}
    for number, (make, options) in enumerate(FOREIGN.values()):
        path = disk_image(tmp_path, str(number), 32 * MIB)
        make(path)
        before[path] = sha256(path)
        disks.append(f"{path}{options}")
    small = disk_image(tmp_path, "small", 31 * MIB)
    before[small] = sha256(small)
    with booted(folder / "foreign", [*disks, small]) as machine:
        api = machine.api
        told = api.ok("GET", "/v1/disks")["items"]
        assert [disk["content"] for disk in told] == [*FOREIGN, "empty"]
        assert {disk["state"] for disk in told} == {"unformatted"}
        nothing = {"state": "none", "disk": None, "bytes": 0, "used_bytes": 0, "silent_seconds": 0}
        assert storage_of(machine) == nothing
        assert "no disk: nothing is kept over a reboot" in machine.serial_text()
        detail = is_problem(api.put("/v1/volumes/v", json={"size_bytes": MIB}), 409)
        assert "format one" in detail
        is_problem(api.put("/v1/volumes/v", json={"size_bytes": MIB, "disk": "0"}), 409)
        assert "read-only" in is_problem(api.put("/v1/disks/4", json={"format": True}), 409)
        assert str(31 * MIB) in is_problem(api.put("/v1/disks/5", json={"format": True}), 422)
        for index in range(6):
            is_problem(api.put(f"/v1/disks/{index}", json={}), 422)
        api.upload("hello", example("hello"))
        api.create("hello", image="hello", memory_bytes=2 * MIB)
        api.wait_state("hello", "exited")
        assert [disk["writes"] for disk in api.ok("GET", "/v1/disks")["items"]] == [0] * 6
        orderly(machine)
    assert {path: sha256(path) for path in before} == before
    with booted(folder / "foreign-again", [disks[0]]) as machine:
        # Nothing was kept, so no token either: the one of this boot is in force. What is formatted is lost.
        assert items(machine.api, "guests") == items(machine.api, "images") == {}
        assert format_disk(machine.api)["state"] == "online"
        assert storage_of(machine)["state"] == "ready"


# ---- Skep's own state ----


def web(**changes):
    networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
    return {"image": "httpd", "memory_bytes": 4 * MIB, "networks": networks} | changes


def furnish(machine, data):
    """Guests, images and volumes of all sorts."""
    api = machine.api
    for name in ("hello", "httpd", "crash", "stay"):
        find = guest_program if name == "stay" else example
        api.upload(name, find(name))
    api.ok("PATCH", "/v1/images/stay", json={"labels": {"team": "edge"}})
    volume(api, "db", size_bytes=8 * MIB, disk="1", limits={"iops": 5000}, labels={"tier": "1"})
    volume(api, "given", size_bytes=2 * MIB, disk="1")
    volume(api, "gone", size_bytes=2 * MIB, disk="1")
    assert put_data(api, "given", data).status_code == 200
    volume(api, "shot", snapshot_of="given")
    start(api, "db", ["hold", "7", "64"], ["db"], restart="always", weight=300)
    api.create("web", **web(start_after=["db"]))
    api.create("last", image="stay", memory_bytes=2 * MIB, start_after=["web"])
    api.create("off", image="hello", memory_bytes=2 * MIB, desired_state="stopped")
    api.create("quiet", image="stay", memory_bytes=2 * MIB, desired_state="paused")
    api.create("gone", image="crash", memory_bytes=2 * MIB, desired_state="stopped")
    api.ok("PATCH", "/v1/guests/web", json={"weight": 70, "env": {"A": "b c"}})
    machine.wait_page(NEIGHBOUR)
    said(api, "db", "durable 64\n")
    api.delete_guest("gone")
    api.ok("DELETE", "/v1/images/crash")
    api.ok("DELETE", "/v1/volumes/gone")


@pytest.mark.parametrize("end", [power_cut, orderly])
def test_all_is_there_again(folder, tmp_path, end):
    """Beside a disk that isn't Skep's, which stays as it is, on the way and at each boot."""
    other, image = (disk_image(tmp_path, name, 64 * MIB) for name in ("other", "skep"))
    ext4(other)
    before = sha256(other)
    disks = [other, f"{image},{LARGE_BLOCKS}"]
    name = f"state-{end.__name__}"
    data = os.urandom(MIB) + bytes(MIB)
    kept = {"guests": ("spec",), "images": ("labels",), "volumes": ("uuid", "kind", "size_bytes", "limits", "labels")}

    def all_of(api):
        return {kind: items(api, kind, *fields) for kind, fields in kept.items()}

    with booted(folder / f"{name}-1", disks) as first:
        assert storage_of(first)["state"] == "none"
        format_disk(first.api, "1")
        host = skep.wait_for(lambda: (host := storage_of(first))["state"] == "ready" and host, "it keeps")
        assert host["disk"] == "1" and 0 < host["used_bytes"] < host["bytes"]
        furnish(first, data)
        expected = all_of(first.api)
        uuid = first.api.ok("GET", "/v1/disks/1")["uuid"]
        end(first)
    fsck(image)
    assert set(expected["guests"]) == {"db", "web", "last", "off", "quiet"}
    assert expected["images"]["stay"]["labels"] == {"team": "edge"}
    assert expected["volumes"]["db"]["labels"] == {"tier": "1"}
    assert set(expected["images"]) == {"hello", "httpd", "stay", "block"}

    with booted(folder / f"{name}-2", disks, known=first) as second:
        api = second.api
        assert api.fingerprint == first.api.fingerprint
        assert storage_of(second)["state"] == "ready"
        assert api.ok("GET", "/v1/disks/1")["uuid"] == uuid
        assert all_of(api) == expected
        # What was running is up without a call, in its order.
        second.wait_page(NEIGHBOUR)
        said(api, "db", "durable 64\n")
        api.wait_state("last", "running")
        api.wait_state("quiet", "created")
        order = [api.status(name)["started_at"] for name in ("db", "web", "last")]
        assert order == sorted(order)
        assert api.status("off")["state"] == "stopped"
        assert digest(data_of(api, "given")) == digest(data_of(api, "shot")) == digest(data)
        # Changes of this boot, for the next one.
        api.delete_guest("web")
        api.ok("DELETE", "/v1/images/httpd")
        api.ok("PATCH", "/v1/guests/db", json={"desired_state": "stopped"})
        api.ok("PATCH", "/v1/images/stay", json={"labels": None})
        api.ok("PATCH", "/v1/volumes/db", json={"labels": {"tier": None, "team": "edge"}})
        api.ok("PATCH", "/v1/guests/off", json={"memory_bytes": 3 * MIB})
        api.ok("DELETE", "/v1/volumes/given")
        expected = all_of(api)
        end(second)
    fsck(image)

    with booted(folder / f"{name}-3", disks, known=first) as third:
        api = third.api
        assert all_of(api) == expected
        assert api.status("db")["state"] == "stopped"
        # It waits for a guest that is gone.
        assert "web" in api.wait_state("last", "waiting")["error"]
        start(api, "check", ["check", "7", "64"], ["db"])
        said(api, "check", "all 64 there")
        assert digest(data_of(api, "shot")) == digest(data)
        assert volume_status(api, "shot")["allocated_bytes"] == MIB
        end(third)
    fsck(image)
    assert sha256(other) == before


def test_what_exists_is_kept_from_the_format_on(folder, tmp_path):
    """A guest that was made before the disk was Skep's is there after it; its image has to come again."""
    image = disk_image(tmp_path, "late", 64 * MIB)
    with booted(folder / "late-1", [image]) as first:
        first.api.upload("early", example("hello"))
        first.api.create("early", image="early", memory_bytes=2 * MIB, env={"A": "b"})
        first.api.wait_state("early", "exited")
        format_disk(first.api)
        assert storage_of(first)["state"] == "ready"
        power_cut(first)
    with booted(folder / "late-2", [image], known=first) as second:
        assert second.api.fingerprint == first.api.fingerprint
        assert items(second.api, "guests")["early"]["spec"]["env"] == {"A": "b"}
        assert items(second.api, "images") == {}
        skep.wait_for(lambda: "early" in second.api.status("early").get("error", ""), "it waits")
        second.api.upload("early", example("hello"))
        second.api.wait_state("early", "exited")


def test_another_token_replaces_the_one_kept(folder, tmp_path):
    image = disk_image(tmp_path, "token", 64 * MIB)
    with booted(folder / "token-1", [image]) as first:
        format_disk(first.api)
        orderly(first)
    with booted(folder / "token-2", [image]) as second:
        assert second.token != first.token
        is_problem(second.api.get("/v1/host", headers={"Authorization": f"Bearer {first.token}"}), 401)
        power_cut(second)
    with booted(folder / "token-3", [image], known=second) as third:
        assert third.api.fingerprint == first.api.fingerprint == second.api.fingerprint
        assert storage_of(third)["state"] == "ready"
