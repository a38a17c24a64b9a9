"""Guests at work on their volumes: on both kinds of disks, many at once, paused, killed, and without the service."""

import pytest
import requests

import skep
from conftest import boot
from helpers import MIB, clear, disk_image, frames, wait_frames
from storage import LARGE_BLOCKS, durable, fsck, run, said, start, volume, volume_status
from test_restart import ENDED, SERVED, UPLOAD, new_client, points

ONE, FOUR, DEBUG = "one CPU", "four CPUs", "debug build"
OPTIONS = {
    ONE: {"cpus": 1},
    FOUR: {"cpus": 4},
    DEBUG: {"cpus": 2, "elf": skep.DEBUG_BUILD / "skep.elf"},
}


@pytest.fixture(scope="module", params=OPTIONS)
def machine(folder, request):
    """With two formatted disks, of 512- and of 4096-byte blocks; what they hold at the end is checked."""
    name = "storage-guests-" + request.param.replace(" ", "-")
    images = [disk_image(folder, f"{name}-{index}", 64 * MIB) for index in range(2)]
    disks = [images[0], f"{images[1]},{LARGE_BLOCKS}"]
    options = OPTIONS[request.param]
    skep.build_exists(options.get("elf", skep.BUILD / "skep.elf").parent)
    yield from boot(folder, name, disks=disks, **options)
    fsck(*images)


def test_all_at_once(api):
    """Programs on both disks at the same time, each of which checks what it reads."""
    for index in range(2):
        for name in ("burst", "edges", "write", "other"):
            volume(api, f"{name}-{index}", size_bytes=8 * MIB, disk=str(index))
        other = {"name": f"other-{index}", "read_only": True}
        start(api, f"burst-{index}", ["burst"], [f"burst-{index}"])
        start(api, f"edges-{index}", ["edges"], [f"edges-{index}", other])
        start(api, f"write-{index}", ["write", str(index), "600"], [f"write-{index}"])
    for index in range(2):
        said(api, f"burst-{index}", "as written")
        said(api, f"edges-{index}", "refused")
        said(api, f"write-{index}", "durable 600")
        for name in ("burst", "edges", "write"):
            status = api.wait_state(f"{name}-{index}", "exited")
            assert status["exit_code"] == 0
        api.delete_guest(f"burst-{index}")
        assert volume_status(api, f"burst-{index}")["errors"] == 0
        assert volume_status(api, f"edges-{index}")["errors"] == 0
    for index in range(2):
        api.delete_guest(f"write-{index}")
        run(api, ["check", str(index), "600"], [f"write-{index}"])
        run(api, ["discard"], [f"burst-{index}"])
        told = run(api, ["describe"], [f"write-{index}", {"name": f"other-{index}", "read_only": True}])
        size = 512 if index == 0 else 4096
        assert told.splitlines() == [
            f"write-{index} {8 * MIB} {size} rw",
            f"other-{index} {8 * MIB} {size} ro",
        ]


def test_killed_at_work(machine, api):
    """Memory that requests are in is given back, and the volume can be had by the next guest at once."""
    volume(api, "v", size_bytes=8 * MIB, disk="0")
    start(api, "first", ["burst", "1", "2"], ["v"])
    said(api, "first", "as written")
    api.delete_guest("first")
    before = frames(api)
    for seed in range(3):
        start(api, "busy", ["burst", str(seed), "1000000"], ["v"])
        said(api, "busy", "round 8\n")
        api.delete_guest("busy")
        assert volume_status(api, "v")["guests"] == 0
    wait_frames(api, before, {"guest": 64, "pagetable": 4})
    assert "as written" in run(api, ["burst", "5", "8"], ["v"])


def test_paused_at_work(api):
    """What is underway may end; then nothing more is asked for, until it goes on."""
    volume(api, "v", size_bytes=8 * MIB, disk="1")
    start(api, "busy", ["burst", "3", "1000000"], ["v"])
    said(api, "busy", "round 8\n")
    for _ in range(3):
        api.ok("PATCH", "/v1/guests/busy", json={"desired_state": "paused"})
        api.wait_state("busy", "paused")

        def counted():
            status = volume_status(api, "v")
            return status["reads"], status["writes"]

        skep.wait_for(lambda: counted() == counted(), "its requests have ended")
        still = counted()
        # Others' go on meanwhile.
        volume(api, "w", size_bytes=MIB, disk="1")
        run(api, ["write", "1", "64"], ["w"])
        assert counted() == still
        end = api.status("busy")["log_end"]
        api.ok("PATCH", "/v1/guests/busy", json={"desired_state": "running"})
        skep.wait_for(lambda end=end: api.status("busy")["log_end"] > end, "it goes on")
    assert api.status("busy")["state"] == "running"


def test_service_restarts_meanwhile(machine, api):
    """A guest that writes to new places goes on, and what it said to be durable is there; nothing is lost or leaked."""
    if machine.options.get("elf") != OPTIONS[DEBUG]["elf"]:
        pytest.skip("only the debug build can be told to crash")
    count = 3000
    for index, name in enumerate(("v", "w")):
        # Slow enough to be at it for long; the limit is lifted in the end.
        volume(api, name, size_bytes=32 * MIB, disk=str(index), limits={"iops": 100})
        start(api, name, ["write", "7", str(count)], [name])
        said(api, name, "durable 160\n")
    for restart in range(2):
        api.ok("POST", "/v1/debug/crash", json={"at": points(api)["image created"]})
        with pytest.raises((requests.ConnectionError, requests.Timeout)):
            UPLOAD.ask(api)

        def back(restart=restart):
            machine.check_alive()
            text = machine.serial_text()
            ends = list(ENDED.finditer(text))
            return len(ends) == restart + 1 and SERVED.search(text, ends[-1].end())

        skep.wait_for(back, "the service is back", 30)
        api = machine.api = new_client(machine)
        assert api.host()["control_restarts"] == restart + 1
        for name in ("v", "w"):
            assert volume_status(api, name)["guests"] == 1
            before = durable(api.log(name).decode())
            assert before < count, "the guest was too fast for this test"
            skep.wait_for(
                lambda name=name, before=before: durable(api.log(name).decode()) > before + 64,
                f"{name} goes on",
            )
    for name in ("v", "w"):
        volume(api, name, size_bytes=32 * MIB)
        said(api, name, f"durable {count}\n")
        assert api.wait_state(name, "exited")["exit_code"] == 0
        api.delete_guest(name)
        run(api, ["check", "7", str(count)], [name])
    assert "safe" not in machine.serial_text()
    clear(api)
