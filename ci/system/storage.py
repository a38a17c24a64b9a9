"""Disks and volumes, guests that use them, and what the guest program `block` writes."""

import hashlib
import subprocess

import qemu
import skep
from helpers import MIB, guest_program, run_to_end

FSCK = skep.ROOT / "build-host/skep-fsck"
LARGE_BLOCKS = "logical_block_size=4096,physical_block_size=4096"


def format_disk(api, disk="0"):
    return api.ok("PUT", f"/v1/disks/{disk}", json={"format": True})


def volume(api, name, **spec):
    """Creates or changes a volume."""
    return api.ok("PUT", f"/v1/volumes/{name}", json=spec)


def volume_status(api, name):
    return api.ok("GET", f"/v1/volumes/{name}")["status"]


def disks_with_volumes(api):
    """What disks hold that belongs to a volume or its pool: nothing, when there are no volumes."""
    held = ("volumes", "promised_bytes", "used_bytes", "pooled_bytes")
    return [
        {field: disk[field] for field in ("id", *held)}
        for disk in api.ok("GET", "/v1/disks")["items"]
        if any(disk.get(field) for field in held)
    ]


def fsck(*images):
    """Has skep-fsck check disks that no machine uses."""
    if not FSCK.is_file():
        raise qemu.Missing(f"{FSCK} doesn't exist: cmake --preset host, then build skep-fsck")
    for image in images:
        checked = subprocess.run([FSCK, image], capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, f"skep-fsck {image}:\n{checked.stdout}{checked.stderr}"


# What the guest program `block` writes, and where (ci/guests/block.c).
BLOCK = 4096


def _mix(value):
    value = (value ^ value >> 31) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
    return value ^ value >> 29


def block_place(volume_bytes, number):
    blocks = 1 << (volume_bytes // BLOCK).bit_length() - 1
    return (number * 0x9E3779B1 & blocks - 1) * BLOCK


def block_data(seed, number):
    words = (_mix(seed ^ number << 20 ^ i) for i in range(BLOCK // 8))
    return b"".join(word.to_bytes(8, "little") for word in words)


def blocks_missing(data, seed, count):
    """Which of the first so many blocks aren't in a volume's data."""
    places = [block_place(len(data), number) for number in range(count)]
    return [
        number
        for number, at in enumerate(places)
        if data[at : at + BLOCK] != block_data(seed, number)
    ]


def disk(api, index=0):
    return api.ok("GET", f"/v1/disks/{index}")


def start(api, name, args, volumes, memory_bytes=4 * MIB, **spec):
    """Starts the guest program `block` with these volumes: names, or objects."""
    if api.get("/v1/images/block").status_code == 404:
        api.upload("block", guest_program("block"))
    volumes = [{"name": item} if isinstance(item, str) else item for item in volumes]
    spec = {"image": "block", "memory_bytes": memory_bytes, "restart": "never"} | spec
    return api.create(name, args=list(args), volumes=volumes, **spec)


def run(api, args, volumes, name="run"):
    """Runs `block` to its end, which must be a good one, and deletes it; what it printed."""
    volumes = [{"name": item} if isinstance(item, str) else item for item in volumes]
    status, log = run_to_end(api, name, guest_program("block"), args, volumes=volumes)
    assert (status["state"], status["exit_code"]) == ("exited", 0), f"{log}\n{status}"
    api.delete_guest(name)
    return log


def said(api, name, text):
    """Waits until a guest has printed this; all that it printed."""

    def there():
        state = api.status(name)["state"]
        log = api.log(name).decode()
        assert text in log or state == "running", f"{name} is {state}, and said: {log}"
        return text in log and log

    return skep.wait_for(there, f"{text!r} from {name}")


def durable(log):
    """How many blocks a guest that writes has said to be durable."""
    return max((int(line.split()[1]) for line in log.splitlines() if line[:7] == "durable"), default=0)


def data_of(api, name):
    response = api.get(f"/v1/volumes/{name}/data", timeout=60)
    assert response.status_code == 200, response.text
    assert int(response.headers["Skep-Size"]) == len(response.content)
    return response.content


def put_data(api, name, data, **headers):
    return api.put(f"/v1/volumes/{name}/data", data=data, headers=headers, timeout=60)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()
