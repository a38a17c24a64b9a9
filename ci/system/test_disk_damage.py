"""Disks with errors that QEMU's blkdebug makes, cut-off disks, and flipped bits: clear errors, no wrong data, no crash.

SKEP_SEED and SKEP_ROUNDS flip other and more bits.
"""

import contextlib
import errno
import os
import random
import shutil
import struct

import pytest
import requests

import skep
from helpers import MIB, disk_image, example, guest_program, run_to_end
from storage import (
    BLOCK,
    block_data,
    block_place,
    data_of,
    digest,
    disk,
    format_disk,
    put_data,
    run,
    volume,
    volume_status,
)

SEED, ROUNDS = (int(os.environ.get(f"SKEP_{name}", default)) for name, default in (("SEED", 11), ("ROUNDS", 16)))
COUNT = 64  # blocks that a guest writes
SECTOR = 512


@contextlib.contextmanager
def booted(folder, disk_text, token=None):
    """A Skep whose service doesn't end, whatever its disk does."""
    folder.mkdir(parents=True, exist_ok=True)
    with skep.Machine(folder, elf=skep.build_exists(), disks=[disk_text], token="" if token else None) as machine:
        machine.token = token or machine.token
        yield machine, machine.wait_api()
        assert machine.api.host()["control_restarts"] == 0
        machine.check_alive()


def written(folder, tmp_path):
    """A disk with a volume `v`, of which a guest has written a part: (image, token)."""
    image = disk_image(tmp_path, "disk", 48 * MIB)
    with booted(folder, image) as (machine, api):
        format_disk(api)
        volume(api, "v", size_bytes=MIB)
        run(api, ["write", "3", str(COUNT)], ["v"])
        return image, machine.token


def debugged(image, folder, iotype, at=None, error=errno.EIO):
    """The disk, with an error for each request of a type, or for those that touch a byte."""
    rules = folder / "blkdebug"
    sector = "" if at is None else f'sector = "{at // SECTOR}"\n'
    rules.write_text(f'[inject-error]\nevent = "none"\niotype = "{iotype}"\nerrno = "{error}"\n{sector}')
    return f"blkdebug:{rules}:{image},werror=report,rerror=report"


def place_of(image, number):
    """Where on the disk a block of the guest's is."""
    at = image.read_bytes().index(block_data(3, number))
    assert at % BLOCK == 0
    return at


def test_a_sector_that_cannot_be_read(folder, tmp_path):
    """The guest is told, the API breaks the transfer off, and all the rest can be read and written."""
    folder /= "blkdebug-read"
    image, token = written(folder, tmp_path)
    bad = place_of(image, 5)
    with booted(folder, debugged(image, folder, "read", bad), token) as (_, api):
        status, log = run_to_end(
            api, "reader", guest_program("block"), ["check", "3", str(COUNT)], volumes=[{"name": "v"}]
        )
        assert (status["state"], status["exit_code"]) == ("exited", 1), status
        assert "skep_block_read(0, place(i), block, BLOCK) == 0" in log
        api.delete_guest("reader")
        assert disk(api)["errors"] > 0 and disk(api)["state"] == "online"
        with pytest.raises(requests.exceptions.RequestException):
            assert api.get("/v1/volumes/v/data", timeout=60).status_code >= 500
            raise requests.exceptions.RequestException
        volume(api, "w", size_bytes=MIB)
        run(api, ["write", "4", str(COUNT)], ["w"])
        run(api, ["check", "4", str(COUNT)], ["w"])


def test_a_sector_that_cannot_be_written(folder, tmp_path):
    """What was there stays there, and blocks beside it can be written."""
    folder /= "blkdebug-write"
    image, token = written(folder, tmp_path)
    bad = place_of(image, 5)
    for error in (errno.EIO, errno.ENOSPC):
        with booted(folder, debugged(image, folder, "write", bad, error), token) as (_, api):
            status, log = run_to_end(
                api, "writer", guest_program("block"), ["write", "9", str(COUNT)], volumes=[{"name": "v"}]
            )
            assert (status["state"], status["exit_code"]) == ("exited", 1), (status, log)
            assert "durable 6" not in log
            api.delete_guest("writer")
            data = data_of(api, "v")
            at = block_place(MIB, 5)
            assert data[at : at + BLOCK] == block_data(3, 5)
            volume(api, "w", size_bytes=MIB)
            run(api, ["write", "4", str(COUNT)], ["w"])
            api.ok("DELETE", "/v1/volumes/w")


@pytest.mark.parametrize("iotype", ["read", "write", "flush"])
def test_a_disk_that_does_nothing_right(folder, tmp_path, iotype):
    """It can't be claimed, the answer says why, and the rest of Skep goes on without it."""
    folder /= f"blkdebug-all-{iotype}"
    folder.mkdir(parents=True, exist_ok=True)
    image = disk_image(tmp_path, "disk", 48 * MIB)
    with booted(folder, debugged(image, folder, iotype)) as (_, api):
        answer = api.put("/v1/disks/0", json={"format": True})
        assert 400 <= answer.status_code < 600, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
        assert disk(api)["state"] != "online"
        assert api.put("/v1/volumes/v", json={"size_bytes": MIB}).status_code in (409, 503)
        status, log = run_to_end(api, "hello", example("hello"), [])
        assert status["exit_code"] == 0 and "Hello" in log
        api.delete_guest("hello")


def furnished(folder, tmp_path):
    """A disk with volumes of all kinds and Skep's own state: (image, token, digests of volumes, guests' specs)."""
    image = disk_image(tmp_path, "disk", 48 * MIB)
    with booted(folder, image) as (machine, api):
        format_disk(api)
        api.upload("stay", guest_program("stay"))
        volume(api, "v", size_bytes=2 * MIB)
        assert put_data(api, "v", os.urandom(MIB) + bytes(MIB)).status_code == 200
        volume(api, "shot", snapshot_of="v")
        volume(api, "copy", clone_of="v")
        run(api, ["write", "3", str(COUNT)], ["copy"])
        for name in ("one", "two", "three"):
            api.create(name, image="stay", memory_bytes=2 * MIB, desired_state="stopped", args=[name])
        digests = {name: digest(data_of(api, name)) for name in ("v", "shot", "copy")}
        specs = {item["name"]: item["spec"] for item in api.ok("GET", "/v1/guests")["items"]}
        return image, machine.token, digests, specs


def chunks_at(image):
    """Where chunks begin: all before it is metadata, and Skep's own state (docs/storage.md)."""
    return struct.unpack_from("<I", image.read_bytes(), 112)[0] * BLOCK


def bits_of(image, count):
    """Places of bits in blocks of metadata that aren't empty, and in both superblocks."""
    data, random_bits = image.read_bytes(), random.Random(SEED)
    size = chunks_at(image)
    used = [at for at in range(0, size, BLOCK) if any(data[at : at + BLOCK])]
    blocks = [0, len(data) - BLOCK, *random_bits.choices(used, k=count - 2)]
    for at in blocks:
        inside = [offset for offset in range(BLOCK) if data[at + offset]]
        yield at + random_bits.choice(inside), random_bits.randrange(8)


def flip(image, at, bit):
    with open(image, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def check_whatever_is_there(machine, api, digests, specs):
    """What is told must be as it was; what isn't there must be missed by somebody who looks."""
    volumes = {item["name"]: item for item in api.ok("GET", "/v1/volumes")["items"]}
    state = disk(api)["state"]
    missed = set(digests) - set(volumes)
    for name in volumes:
        if volume_status(api, name)["state"] == "offline":
            missed.add(name)
            assert api.get(f"/v1/volumes/{name}/data").status_code in (409, 503)
        else:
            assert digest(data_of(api, name)) == digests[name], name
    if missed:
        assert state == "damaged", (missed, disk(api))
        assert disk(api)["damage"]
    guests = {item["name"]: item["spec"] for item in api.ok("GET", "/v1/guests")["items"]}
    assert guests.items() <= specs.items(), (guests, specs)
    if guests != specs or state == "damaged":
        assert api.host()["storage"]["state"] == "damaged", machine.serial_text()
    answer = api.put("/v1/volumes/new", json={"size_bytes": MIB})
    assert answer.status_code in (200, 201) if state == "online" else answer.status_code in (409, 503)


def test_flipped_bits(folder, tmp_path):
    folder /= "flipped"
    image, token, digests, specs = furnished(folder, tmp_path)
    for number, (at, bit) in enumerate(bits_of(image, ROUNDS)):
        damaged = shutil.copy(image, tmp_path / "damaged.img")
        flip(damaged, at, bit)
        print(f"bit {bit} of byte {at:#x}: block {at // BLOCK}, offset {at % BLOCK}")
        with booted(folder / str(number), damaged) as (machine, api):
            check_whatever_is_there(machine, api, digests, specs)


def test_a_damaged_disk_is_formatted_anew(folder, tmp_path):
    """What could be read of Skep's own state is kept again from then on."""
    folder /= "anew"
    image, token, _, specs = furnished(folder, tmp_path)
    with booted(folder / "emptied", image, token):
        pass  # the journal has nothing to mend the table with any more
    table = struct.unpack_from("<I", image.read_bytes(), 88)[0] * BLOCK
    flip(image, table + 40, 3)
    with booted(folder / "damaged", image, token) as (_, api):
        assert disk(api)["state"] == api.host()["storage"]["state"] == "damaged"
        assert str(table // BLOCK) in disk(api)["damage"][0]
        assert api.put("/v1/guests/four", json={"image": "stay", "memory_bytes": 2 * MIB}).status_code == 507
        assert api.delete("/v1/guests/one").status_code == 507
        assert api.put("/v1/disks/0", json={"format": True}).status_code == 409
        api.ok("PUT", "/v1/disks/0", json={"format": True, "force": True})
        assert disk(api)["state"] == "online" and api.host()["storage"]["state"] == "ready"
        volume(api, "v", size_bytes=MIB)
    with booted(folder / "again", image, token) as (_, api):
        assert {item["name"]: item["spec"] for item in api.ok("GET", "/v1/guests")["items"]} == specs
        assert volume_status(api, "v")["state"] == "online"


@pytest.mark.parametrize("size", [40 * MIB, 8 * MIB, 4096])
def test_cut_off(folder, tmp_path, size):
    """Its end is missing: it isn't written to, and the volumes that are there aren't said to be whole."""
    folder /= f"cut-off-{size}"
    image, _, digests, _ = furnished(folder, tmp_path)
    os.truncate(image, size)
    with booted(folder / "after", image) as (machine, api):
        assert disk(api)["state"] != "online"
        for item in api.ok("GET", "/v1/volumes")["items"]:
            answer = api.get(f"/v1/volumes/{item['name']}/data", timeout=60)
            assert answer.status_code >= 400 or digest(answer.content) == digests[item["name"]]
        assert api.put("/v1/volumes/new", json={"size_bytes": MIB}).status_code in (409, 503)
        assert disk(api)["writes"] == 0
