"""What tests of examples/ports share: the programs, and themselves on this Linux to compare with."""

import contextlib
import pathlib
import re
import socket
import subprocess

import qemu
import skep
from helpers import MIB, disk_image, example, run_to_end
from storage import format_disk

NATIVE = skep.BUILD / "examples/native"


def native(name, *args, **options):
    """What the same program prints here. options are subprocess.run()'s."""
    program = NATIVE / name
    if not program.is_file():
        raise qemu.Missing(f"{program} doesn't exist: cmake --build build --target ports ports-native")
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "timeout": 120, **options}
    return subprocess.run([program, *map(str, args)], stdout=subprocess.PIPE, text=True, **options)


def source(name):
    """Where upstream's source is, which ci/deps has fetched."""
    paths = subprocess.run([skep.ROOT / "ci/deps", "--paths"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return pathlib.Path(re.search(rf"^{name} \S+ (.+)$", paths, re.M)[1])


@contextlib.contextmanager
def machine_with(port, folder, disk_folder, disk_bytes, forwards):
    """A machine that has the program's image, and a disk."""
    options = {"elf": skep.build_exists(), "disks": [disk_image(disk_folder, "disk", disk_bytes)], "cpus": 2}
    with skep.Machine(folder / port, forwards=forwards, **options) as machine:
        api = machine.wait_api()
        format_disk(api)
        api.upload(port, example(port))
        yield machine
        machine.check_alive()


def create(api, name, port, destination, *args, **spec):
    """A guest of the program that is reached at this address and port."""
    networks = [{"address": destination.partition(":")[0] + "/24", "gateway": qemu.GATEWAY}]
    api.create(name, image=port, **{"memory_bytes": 32 * MIB, "networks": networks, "args": args, **spec})


class Connection:
    """To a server on this host, for a client of its protocol. tls: an ssl.SSLContext, for a server called localhost."""

    def __init__(self, port, seconds=60, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(api, port, *args, memory_bytes=4 * MIB, expected=0, **spec):
    """What a port prints as a guest, which is gone afterwards."""
    status, text = run_to_end(api, port, example(port), args, memory_bytes, **spec)
    assert (status["state"], status["exit_code"]) == ("exited", expected), (status, text)
    api.delete_guest(port)
    return text


def untimed(text):
    """speedtest1's report without its times."""
    return re.sub(r" +\d+\.\d+s$", "", text, flags=re.M)
