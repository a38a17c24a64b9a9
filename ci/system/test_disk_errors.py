"""Disks that fail: what the API says of it, what guests get, and that nothing else is harmed."""

import concurrent.futures
import contextlib
import struct
import threading

import helpers
import nbd
import skep

MIB = 1 << 20


@contextlib.contextmanager
def on_a_disk(folder, size=48 * MIB):
    """A Skep on a formatted disk whose errors are the test's to choose: (disk, machine)."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = nbd.Disk(size)
    with disk.serve(folder / "disk.sock") as socket:
        options = {"elf": skep.build_exists(), "disks": [f"nbd:unix:{socket}"]}
        with skep.Machine(folder, **options) as machine:
            machine.wait_api().ok("PUT", "/v1/disks/0", json={"format": True})
        # Anew, so that Skep's own state is on it.
        with skep.Machine(folder, **options) as machine:
            assert machine.wait_api().host()["storage"]["state"] == "ready"
            yield disk, machine
            assert machine.api.host()["control_restarts"] == 0
            machine.check_alive()


def chunks_start(disk):
    """Where guests' data begin: of the superblock (docs/storage.md)."""
    return struct.unpack_from("<I", disk.data, 112)[0] * 4096


def never(kind, offset, length):
    return False


def run(api, name, *args):
    """Runs ci/guests/block.c on volume v."""
    return helpers.run_to_end(
        api, name, helpers.guest_program("block"), args, volumes=[{"name": "v"}]
    )


def test_guest_gets_an_error_for_a_read(folder):
    """And reads the same again when the disk is well."""
    with on_a_disk(folder / "disk-read-error") as (disk, machine):
        api = machine.api
        api.ok("PUT", "/v1/volumes/v", json={"size_bytes": MIB})
        status, _ = run(api, "writer", "write", "3", "64")
        assert status["exit_code"] == 0
        api.delete_guest("writer")
        start = chunks_start(disk)
        disk.fail = lambda kind, offset, length: kind is None and offset >= start
        status, log = run(api, "reader", "check", "3", "64")
        disk.fail = never
        assert status["state"] == "exited" and status["exit_code"] == 1, status
        assert "skep_block_read(0, place(i), block, BLOCK) == 0" in log
        told = api.ok("GET", "/v1/disks/0")  # the volume may be closed by now, and its counters gone
        assert told["state"] == "online" and told["errors"] > 0, told
        api.delete_guest("reader")
        status, log = run(api, "reader", "check", "3", "64")
        assert status["exit_code"] == 0 and "all 64 there" in log, log
        api.delete_guest("reader")


def test_failed_flushes_are_told(folder):
    """Guests get an error, changes of volumes and of Skep's own state are refused, and what runs goes on."""
    with on_a_disk(folder / "disk-flush-error") as (disk, machine):
        api = machine.api
        api.ok("PUT", "/v1/volumes/v", json={"size_bytes": MIB})
        api.upload("block", helpers.guest_program("block"))
        api.upload("stay", helpers.guest_program("stay"))
        api.create("neighbour", image="stay", memory_bytes=2 * MIB)
        api.wait_state("neighbour", "running")
        disk.fail = lambda kind, offset, length: kind is nbd.Kind.FLUSH
        helpers.is_problem(api.put("/v1/volumes/w", json={"size_bytes": MIB}), 409, 503, 507)
        helpers.is_problem(api.put("/v1/guests/late", json={"image": "stay"}), 507)
        assert api.ok("GET", "/v1/disks/0")["state"] in ("damaged", "failed")
        assert api.host()["storage"]["state"] == "damaged"
        assert [item["name"] for item in api.ok("GET", "/v1/volumes")["items"]] == ["v"]
        assert [item["name"] for item in api.ok("GET", "/v1/guests")["items"]] == ["neighbour"]
        assert api.status("neighbour")["state"] == "running"


def test_guest_gets_an_error_for_a_write(folder):
    with on_a_disk(folder / "disk-write-error") as (disk, machine):
        api = machine.api
        api.ok("PUT", "/v1/volumes/v", json={"size_bytes": MIB})
        status, _ = run(api, "writer", "write", "3", "64")
        assert status["exit_code"] == 0
        api.delete_guest("writer")
        start = chunks_start(disk)
        disk.fail = lambda kind, offset, length: kind is nbd.Kind.WRITE and offset >= start
        status, log = run(api, "writer", "write", "4", "64")
        disk.fail = never
        assert status["state"] == "exited" and status["exit_code"] == 1, status
        assert "skep_block_write(0, place(i), block, BLOCK) == 0" in log and "durable" not in log
        api.delete_guest("writer")
        # No write of it came through.
        status, log = run(api, "reader", "check", "3", "64")
        assert status["exit_code"] == 0, log
        api.delete_guest("reader")
        status, log = run(api, "writer", "write", "4", "64")
        assert status["exit_code"] == 0 and "durable 64" in log


def test_a_disk_that_does_not_answer_is_told(folder):
    """A change waits for it, and is made once it answers; everything else goes on, and nothing is given up."""
    with on_a_disk(folder / "disk-silent") as (disk, machine), concurrent.futures.ThreadPoolExecutor(1) as pool:
        api, other = machine.api, skep.Api(machine.api_port, machine.token, machine.api.fingerprint)
        answers = threading.Event()
        disk.fail = lambda kind, offset, length: not answers.wait(120)
        try:
            change = pool.submit(other.put, "/v1/volumes/v", json={"size_bytes": MIB}, timeout=120)
            skep.wait_for(lambda: api.host()["storage"]["silent_seconds"] >= 30, "the silence is told", 90)
            assert "disk 0: has not answered a request for 30 seconds" in machine.serial_text()
            assert api.ok("GET", "/v1/guests")["items"] == [] and not change.done()
        finally:
            answers.set()
        assert change.result().status_code == 201
        machine.wait_serial("disk 0: answers again")
        told = api.ok("GET", "/v1/disks/0")
        assert (told["state"], told["silent_seconds"], told["errors"]) == ("online", 0, 0)
