"""The machine's disks: which are found, what is said of them, and those that can't be used."""

import contextlib
import re
import socket

import skep
from helpers import MIB, disk_image
from storage import LARGE_BLOCKS


@contextlib.contextmanager
def booted(folder, disks, **options):
    """A Skep with its API up, and the lines of its console that are about disks."""
    with skep.Machine(folder, elf=skep.build_exists(), disks=disks, **options) as machine:
        machine.wait_api()
        yield machine, re.findall(r"virtio-blk: (.*)", machine.serial_text())
        machine.check_alive()


def test_disks_are_found_in_order(folder, tmp_path):
    disks = [
        f"{disk_image(tmp_path, 'a', 64 * MIB)},serial=first",
        f"{disk_image(tmp_path, 'b', 32 * MIB)},serial=an-id-of-20-letters!,{LARGE_BLOCKS}",
        f"{disk_image(tmp_path, 'c', 16 * MIB)},readonly=on,num-queues=1",
    ]
    with booted(folder / "disks", disks, cpus=2) as (_, lines):
        said = [line.split(": ", 1)[1] for line in lines]
        assert said == [
            '64 MiB, 512-byte blocks, serial "first", 2 queues, flush discard zeroes',
            '32 MiB, 4096-byte blocks, serial "an-id-of-20-letters!", 2 queues, '
            "flush discard zeroes",
            '16 MiB, 512-byte blocks, serial "", 1 queue, read-only flush',
        ]
        addresses = [int(line.split(":")[0], 16) for line in lines]
        assert addresses == sorted(addresses)


def test_serial_is_made_harmless(folder, tmp_path):
    disks = [f'{disk_image(tmp_path, "a", MIB)},serial=a"b\\c']
    with booted(folder / "disk-serial", disks) as (_, lines):
        assert 'serial "a_b_c"' in lines[0]


def test_queues_go_with_cpus(folder, tmp_path):
    disks = [disk_image(tmp_path, "a", MIB)]
    with booted(folder / "disk-queues-1", disks, cpus=1) as (_, lines):
        assert "1 queue," in lines[0]
    with booted(folder / "disk-queues-6", disks, cpus=6) as (_, lines):
        assert "4 queues," in lines[0]


def test_more_than_there_is_room_for(folder, tmp_path):
    disks = [f"{disk_image(tmp_path, str(i), MIB)},serial=number-{i}" for i in range(9)]
    with booted(folder / "disk-table", disks) as (_, lines):
        assert re.findall(r"number-\d", "\n".join(lines)) == [f"number-{i}" for i in range(8)]


def test_disk_that_takes_too_little_is_left_aside(folder, tmp_path):
    """Its queue of 32 gives requests of 30 pieces."""
    disks = [f"{disk_image(tmp_path, 'a', MIB)},queue-size=32", f"{disk_image(tmp_path, 'b', 2 * MIB)}"]
    with booted(folder / "disk-short", disks) as (_, lines):
        assert "takes 30 pieces" in lines[0]
        assert "can't be used" in lines[1]
        assert "2 MiB" in lines[2] and len(lines) == 3


def test_disk_that_grows_is_noticed(folder, tmp_path):
    path = tmp_path / "monitor.sock"
    monitor = ("-monitor", f"unix:{path},server=on,wait=off")
    disks = [disk_image(tmp_path, "a", 8 * MIB)]
    with booted(folder / "disk-grows", disks, extra=monitor) as (machine, _):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(path))
            client.sendall(b"block_resize disk0 24M\n")
            machine.wait_serial("has 24 MiB now")
