"""Disks and volumes by the API, with guests that use them meanwhile: sizes, space, copies, data."""

import os
import socket
import ssl
import subprocess

import pytest

import skep
from conftest import boot
from helpers import MIB, disk_image, guest_program, is_problem
from storage import (
    BLOCK,
    LARGE_BLOCKS,
    block_place,
    blocks_missing,
    data_of,
    digest,
    disk,
    durable,
    fsck,
    put_data,
    run,
    said,
    start,
    volume,
    volume_status,
)
from test_curl import curl

CHUNK = 64 << 10


@pytest.fixture(scope="module")
def machine(folder):
    """With two formatted disks, of 512- and of 4096-byte blocks; what they hold at the end is checked."""
    images = [disk_image(folder, "storage-0", 256 * MIB), disk_image(folder, "storage-1", 64 * MIB)]
    disks = [f"{images[0]},serial=first", f"{images[1]},serial=second,{LARGE_BLOCKS}"]
    yield from boot(folder, "storage", disks=disks, cpus=2)
    fsck(*images)


# ---- disks ----


def test_what_is_told_of_disks(api):
    first, second = api.ok("GET", "/v1/disks")["items"]
    assert [first["id"], second["id"]] == ["0", "1"]
    assert [first["serial"], second["serial"]] == ["first", "second"]
    assert [first["size_bytes"], second["size_bytes"]] == [256 * MIB, 64 * MIB]
    assert [first["block_bytes"], second["block_bytes"]] == [512, 4096]
    for item in (first, second):
        assert item["state"] == "online" and item["content"] == "Skep disk", item
        assert item["damage"] == [] and item["errors"] == 0 and not item["read_only"], item
        assert item["chunk_bytes"] == CHUNK
        assert 0.8 * item["size_bytes"] < item["capacity_bytes"] < item["size_bytes"]
    assert first == disk(api)
    assert first["uuid"] != second["uuid"]
    for wrong in ("2", "7", "8", "00", "x"):
        is_problem(api.get(f"/v1/disks/{wrong}"), 404)


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({}, 422, '{"format": true}'),
        ({"format": False}, 422, '{"format": true}'),
        ({"format": "yes"}, 422, "true or false"),
        ({"format": True, "size": 1}, 422, "'size'"),
        ([], 422, "JSON object"),
        ({"format": True}, 409, "force"),
    ],
)
def test_formats_that_are_refused(api, body, status, word):
    before = disk(api, 1)["uuid"]
    assert word in is_problem(api.put("/v1/disks/1", json=body), status)
    assert disk(api, 1)["uuid"] == before


def test_formatting_again(api):
    """Only when nobody uses the disk; then its volumes are gone, and the other disk's aren't."""
    volume(api, "there", size_bytes=MIB, disk="1")
    volume(api, "elsewhere", size_bytes=MIB, disk="0")
    before = disk(api, 1)["uuid"]
    again = {"format": True, "force": True}
    start(api, "user", ["hold", "1", "4"], ["there"])
    said(api, "user", "durable 4")
    assert "'there'" in is_problem(api.put("/v1/disks/1", json=again), 409)
    api.delete_guest("user")
    assert api.ok("PUT", "/v1/disks/1", json=again)["uuid"] != before
    assert [item["name"] for item in api.ok("GET", "/v1/volumes")["items"]] == ["elsewhere"]
    assert disk(api, 1)["volumes"] == 0


# ---- volumes: names, sizes, limits ----


@pytest.mark.parametrize("name", ["Big", "under_score", "-begins", "x" * 40, "a.b"])
def test_names_that_are_refused(api, name):
    is_problem(api.put(f"/v1/volumes/{name}", json={"size_bytes": MIB, "disk": "0"}), 400)


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({"disk": "0"}, 422, "size_bytes"),
        ({"size_bytes": MIB}, 422, "several disks"),
        ({"size_bytes": MIB, "disk": "2"}, 422, "no disk '2'"),
        ({"size_bytes": MIB, "disk": 0}, 422, "disk"),
        ({"size_bytes": 0, "disk": "0"}, 422, "4096"),
        ({"size_bytes": MIB + 512, "disk": "0"}, 422, "4096"),
        ({"size_bytes": 1 << 50, "disk": "0", "overcommit": True}, 422, "size_bytes"),
        ({"clone_of": "nobody"}, 422, "'nobody'"),
        ({"size_bytes": MIB, "disk": "0", "limits": {"speed": 1}}, 422, "speed"),
        ({"size_bytes": MIB, "disk": "0", "limits": {"iops": -1}}, 422, "iops"),
        ({"size_bytes": MIB, "disk": "0", "colour": 1}, 422, "colour"),
    ],
)
def test_volumes_that_are_refused(api, body, status, word):
    assert word in is_problem(api.put("/v1/volumes/no", json=body), status)
    is_problem(api.get("/v1/volumes/no"), 404)


def test_more_than_there_is(api):
    """The answer has both numbers, and more is promised only who asks for it."""
    capacity = disk(api, 1)["capacity_bytes"]
    volume(api, "most", size_bytes=capacity - MIB, disk="1")
    detail = is_problem(api.put("/v1/volumes/more", json={"size_bytes": 2 * MIB, "disk": "1"}), 409)
    assert f"{capacity - MIB} of its {capacity} bytes" in detail
    is_problem(api.patch("/v1/volumes/most", json={"size_bytes": capacity + MIB}), 409)
    volume(api, "more", size_bytes=2 * MIB, disk="1", overcommit=True)
    assert disk(api, 1)["promised_bytes"] == capacity + MIB
    api.ok("DELETE", "/v1/volumes/most")
    assert disk(api, 1)["promised_bytes"] == 2 * MIB


def test_changing_a_volume(api):
    made = volume(api, "v", size_bytes=MIB, disk="1", limits={"iops": 100, "iops_burst": 7})
    assert (made["kind"], made["disk"], made["copy_of"]) == ("volume", "1", None)
    assert made["limits"] == {"iops": 100, "iops_burst": 7, "bytes_per_second": 0, "bytes_burst": 0}
    changed = api.ok("PATCH", "/v1/volumes/v", json={"limits": {"bytes_per_second": 5 * MIB}})
    assert changed["limits"]["iops"] == 100
    assert changed["limits"]["bytes_per_second"] == 5 * MIB
    assert volume(api, "v", size_bytes=2 * MIB)["limits"]["iops"] == 0
    assert api.ok("GET", "/v1/volumes/v")["size_bytes"] == 2 * MIB
    assert "smaller" in is_problem(api.patch("/v1/volumes/v", json={"size_bytes": MIB}), 422)
    assert "origin" in is_problem(api.put("/v1/volumes/v", json={"clone_of": "v"}), 409)
    is_problem(api.put("/v1/volumes/v", json={"disk": "0"}), 409)
    is_problem(api.patch("/v1/volumes/v", json={"disk": "1"}), 422)
    api.ok("DELETE", "/v1/volumes/v", status=204)
    is_problem(api.delete("/v1/volumes/v"), 404)
    is_problem(api.patch("/v1/volumes/v", json={}), 404)
    is_problem(api.get("/v1/volumes/v/data"), 404)


# ---- volumes and guests ----


def test_growing_in_use(api):
    volume(api, "v", size_bytes=MIB, disk="1")
    start(api, "user", ["grow"], ["v"])
    said(api, "user", f"has {MIB}\n")
    volume(api, "v", size_bytes=3 * MIB)
    said(api, "user", f"has {3 * MIB}\n")
    api.delete_guest("user")
    start(api, "user", ["grow"], ["v"])
    said(api, "user", f"has {3 * MIB}\n")


def test_one_writer(api):
    """Nobody else may write, change hands or delete what a guest has; others may read what nobody writes."""
    volume(api, "v", size_bytes=MIB, disk="0")
    start(api, "writer", ["hold", "1", "16"], ["v"])
    said(api, "writer", "durable 16")
    assert volume_status(api, "v")["guests"] == 1
    second = {"image": "block", "memory_bytes": 4 * MIB, "volumes": [{"name": "v"}]}
    is_problem(api.put("/v1/guests/second", json=second), 409)
    is_problem(api.get("/v1/guests/second"), 404)
    assert "uses" in is_problem(api.delete("/v1/volumes/v"), 409)
    is_problem(api.get("/v1/volumes/v/data"), 409)
    is_problem(put_data(api, "v", bytes(MIB)), 409)
    missing = second | {"volumes": [{"name": "nobody"}]}
    assert "nobody" in is_problem(api.put("/v1/guests/second", json=missing), 409, 422)
    api.delete_guest("writer")
    assert volume_status(api, "v")["guests"] == 0
    assert "all 16 there" in run(api, ["check", "1", "16"], [{"name": "v", "read_only": True}])
    readers = [{"name": "v", "read_only": True}]
    for name in ("reader-1", "reader-2"):
        start(api, name, ["check", "1", "16"], readers)
        said(api, name, "all 16 there")


def test_space_comes_and_goes(api):
    """A volume takes what is written to first, and gives back what its guest discards."""
    volume(api, "v", size_bytes=32 * MIB, disk="0")
    free = disk(api)["used_bytes"]
    run(api, ["write", "3", "200"], ["v"])
    places = {block_place(32 * MIB, number) // CHUNK for number in range(200)}
    assert volume_status(api, "v")["allocated_bytes"] == len(places) * CHUNK
    run(api, ["check", "3", "200"], ["v"])
    assert volume_status(api, "v")["allocated_bytes"] == len(places) * CHUNK
    assert disk(api)["used_bytes"] == free + len(places) * CHUNK
    assert "given back" in run(api, ["discard"], ["v"])
    # It ends the test by writing zeroes over two chunks at most.
    assert volume_status(api, "v")["allocated_bytes"] <= 2 * CHUNK


def test_copies_of_what_is_being_written(api):
    """A snapshot has all that was durable when it was asked for, and stays as it is; so does what a clone is of."""
    size = 8 * MIB
    volume(api, "v", size_bytes=size, disk="0")
    start(api, "writer", ["hold", "9", "2000"], ["v"])
    before = durable(said(api, "writer", "durable 160\n"))
    volume(api, "shot", snapshot_of="v")
    between = durable(api.log("writer").decode())
    volume(api, "twin", clone_of="v")
    assert (before, between) < (2000, 2000), "the guest was too fast for this test"
    shot = data_of(api, "shot")
    assert blocks_missing(shot, 9, before) == []
    said(api, "writer", "durable 2000\n")
    assert digest(data_of(api, "shot")) == digest(shot)
    for name, kind in (("shot", "snapshot"), ("twin", "volume")):
        copy = api.ok("GET", f"/v1/volumes/{name}")
        assert (copy["kind"], copy["copy_of"], copy["size_bytes"]) == (kind, "v", size)
    # The clone is written to, and nobody else notices.
    run(api, ["check", "9", str(between)], ["twin"])
    run(api, ["write", "4", "300"], ["twin"])
    run(api, ["check", "4", "300"], ["twin"])
    assert digest(data_of(api, "shot")) == digest(shot)
    api.delete_guest("writer")
    assert "all 2000 there" in run(api, ["check", "9", "2000"], ["v"])
    run(api, ["check", "9", str(before)], [{"name": "shot", "read_only": True}])
    # Each goes without the others.
    api.ok("DELETE", "/v1/volumes/v")
    run(api, ["check", "4", "300"], ["twin"])
    assert digest(data_of(api, "shot")) == digest(shot)


def test_full_copy_of_what_is_being_written(api):
    """To the other disk, while the guest goes on: it has all that was durable when it was asked for."""
    size, used = 8 * MIB, disk(api, 1)["used_bytes"]
    volume(api, "v", size_bytes=size, disk="0")
    start(api, "writer", ["hold", "9", "2000"], ["v"])
    before = durable(said(api, "writer", "durable 160\n"))
    assert before < 2000, "the guest was too fast for this test"
    operation = api.ok("PUT", "/v1/volumes/far", status=202, json={"copy_of": "v", "disk": "1"})
    done = api.ok("GET", f"/v1/operations/{operation['id']}", params={"wait": 60}, timeout=90)
    assert (done["state"], done["done_bytes"], done["result"]) == ("done", size, "/v1/volumes/far"), done
    data = data_of(api, "far")
    assert blocks_missing(data, 9, before) == []
    said(api, "writer", "durable 2000\n")
    assert digest(data_of(api, "far")) == digest(data)
    api.delete_guest("writer")
    run(api, ["write", "4", "300"], ["far"])
    run(api, ["check", "4", "300"], ["far"])
    assert "all 2000 there" in run(api, ["check", "9", "2000"], ["v"])
    api.ok("DELETE", "/v1/volumes/far")
    api.ok("DELETE", "/v1/volumes/v")
    assert disk(api, 1)["used_bytes"] == used


def test_snapshots_are_not_written(api):
    volume(api, "v", size_bytes=MIB, disk="0")
    volume(api, "shot", snapshot_of="v")
    spec = {"image": "block", "memory_bytes": 4 * MIB, "volumes": [{"name": "shot"}]}
    api.upload("block", guest_program("block"))
    is_problem(api.put("/v1/guests/writer", json=spec), 409, 422)
    is_problem(put_data(api, "shot", bytes(MIB)), 409)
    assert "clone" in is_problem(api.patch("/v1/volumes/shot", json={"size_bytes": 2 * MIB}), 422)
    is_problem(api.put("/v1/volumes/s2", json={"snapshot_of": "v", "size_bytes": 2 * MIB}), 422)
    is_problem(api.put("/v1/volumes/s2", json={"snapshot_of": "v", "clone_of": "v"}), 422)
    assert volume(api, "larger", clone_of="shot", size_bytes=2 * MIB)["size_bytes"] == 2 * MIB


def test_a_full_disk(api):
    """Writes that need space fail while there is none, all others go on, and so do these once there is some."""
    capacity = disk(api, 1)["capacity_bytes"]
    volume(api, "ballast", size_bytes=capacity // CHUNK * CHUNK - 8 * MIB, disk="1")
    volume(api, "v", size_bytes=24 * MIB, disk="1", overcommit=True)
    run(api, ["fill"], ["ballast"])
    start(api, "user", ["fill"], ["v"])
    told = said(api, "user", "full after ")
    assert int(told.split()[-1]) <= 8 * MIB
    assert volume_status(api, "v")["state"] == "full"
    assert disk(api, 1)["used_bytes"] == capacity
    api.ok("DELETE", "/v1/volumes/ballast")
    log = said(api, "user", "filled")
    assert log.count("full after") == 1
    assert volume_status(api, "v")["state"] == "online"
    assert volume_status(api, "v")["allocated_bytes"] == 24 * MIB


# ---- limits ----


def rate(api, args, field, count, limits):
    """How many requests or bytes a second a guest has got, by Skep's own clock and counters."""
    volume(api, "v", size_bytes=32 * MIB, disk="0", limits=limits)
    start(api, "user", args, ["v"])

    def look():
        status = volume_status(api, "v")
        return status[field], api.host()["uptime_ns"] / 1e9

    first, begin = skep.wait_for(lambda: (seen := look())[0] > count // 4 and seen, "it has begun")
    last, end = skep.wait_for(lambda: (seen := look())[0] > first + count and seen, "it goes on")
    api.delete_guest("user")
    return (last - first) / (end - begin)


def test_limits(api):
    """Loosely: what is counted when it is done may be late by a moment's worth."""
    iops = rate(api, ["write", "1", "100000"], "writes", 200, {"iops": 200, "iops_burst": 20})
    assert 50 < iops < 300
    limits = {"bytes_per_second": MIB, "bytes_burst": 64 << 10}
    speed = rate(api, ["write", "1", "100000"], "written_bytes", MIB, limits)
    assert MIB / 4 < speed < 1.5 * MIB


# ---- data ----


def test_data_there_and_back(api):
    size = 3 * MIB + BLOCK
    data = os.urandom(CHUNK + 5) + bytes(2 * MIB) + os.urandom(MIB // 2)
    data += bytes(size - len(data))
    volume(api, "v", size_bytes=size, disk="1")
    answer = put_data(api, "v", data, **{"Skep-Digest": digest(data)})
    assert answer.status_code == 200 and answer.json()["digest"] == digest(data)
    assert data_of(api, "v") == data
    used = {at // CHUNK for at in range(0, size, BLOCK) if any(data[at : at + BLOCK])}
    assert volume_status(api, "v")["allocated_bytes"] == len(used) * CHUNK
    # Over it: what is zero now has no place any more.
    other = bytes(MIB) + os.urandom(CHUNK) + bytes(size - MIB - CHUNK)
    assert put_data(api, "v", other).json()["digest"] == digest(other)
    assert data_of(api, "v") == other
    assert volume_status(api, "v")["allocated_bytes"] == CHUNK


def test_digest_comes_behind_the_data(machine, api, tmp_path):
    volume(api, "v", size_bytes=MIB, disk="0")
    data = os.urandom(MIB)
    assert put_data(api, "v", data).status_code == 200
    got, headers = tmp_path / "data", tmp_path / "headers"
    url = f"https://127.0.0.1:{machine.api_port}/v1/volumes/v/data"
    done = curl(machine, "--dump-header", headers, "--output", got, url)
    assert done.returncode == 0, done.stderr
    assert got.read_bytes() == data
    assert f"skep-digest: {digest(data)}" in headers.read_text().lower()


def test_data_that_is_refused(api):
    volume(api, "v", size_bytes=MIB, disk="0")
    wrong = put_data(api, "v", bytes(MIB), **{"Skep-Digest": "sha256:" + "0" * 64})
    assert digest(bytes(MIB)) in is_problem(wrong, 422)
    for size in (0, MIB - 1, MIB + 1):
        is_problem(put_data(api, "v", bytes(size)), 422, 411)
    is_problem(put_data(api, "v", iter([bytes(MIB)])), 411)
    is_problem(put_data(api, "nobody", bytes(MIB)), 404)


def test_upload_that_breaks_off(machine, api):
    """The volume has a part of it, and can be written and deleted as any."""
    volume(api, "v", size_bytes=8 * MIB, disk="0")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", machine.api_port), timeout=30) as plain:
        with context.wrap_socket(plain) as client:
            client.sendall(
                b"PUT /v1/volumes/v/data HTTP/1.1\r\nHost: skep\r\n"
                + f"Authorization: Bearer {machine.token}\r\n".encode()
                + f"Content-Length: {8 * MIB}\r\n\r\n".encode()
            )
            # Durable is made what came each time it is 4 MiB.
            client.sendall(b"x" * (5 * MIB))
            skep.wait_for(
                lambda: volume_status(api, "v")["allocated_bytes"] > 0, "some of it is written"
            )
            is_problem(api.delete("/v1/volumes/v"), 409)
    data = os.urandom(8 * MIB)
    skep.wait_for(lambda: api.delete("/v1/volumes/v").status_code == 204, "it is over", 30)
    volume(api, "v", size_bytes=8 * MIB, disk="0")
    assert put_data(api, "v", data).json()["digest"] == digest(data)


def test_file_system_there_and_back(api, tmp_path):
    """An ext4 that is made here, kept there, and checked here."""
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder/random").write_bytes(content := os.urandom(300_000))
    (tree / "hello").write_text("hello\n")
    image = tmp_path / "ext4"
    made = ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, image, "8M"]
    subprocess.run(made, check=True, timeout=60)
    volume(api, "fs", size_bytes=8 * MIB, disk="1")
    assert put_data(api, "fs", image.read_bytes()).status_code == 200
    assert volume_status(api, "fs")["allocated_bytes"] < 4 * MIB
    volume(api, "copy", clone_of="fs")
    api.ok("DELETE", "/v1/volumes/fs")
    back = tmp_path / "back"
    back.write_bytes(data_of(api, "copy"))
    subprocess.run(["e2fsck", "-fn", back], check=True, timeout=60, capture_output=True)
    show = ["debugfs", "-R", "cat /folder/random", back]
    assert subprocess.run(show, check=True, timeout=60, capture_output=True).stdout == content
