"""What tests of examples/ports share: the programs, and themselves on this Linux to compare with."""

import pathlib
import re
import subprocess

import qemu
import skep
from helpers import MIB, example, run_to_end

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


def run(api, port, *args, memory_bytes=4 * MIB, expected=0, **spec):
    """What a port prints as a guest, which is gone afterwards."""
    status, text = run_to_end(api, port, example(port), args, memory_bytes, **spec)
    assert (status["state"], status["exit_code"]) == ("exited", expected), (status, text)
    api.delete_guest(port)
    return text


def untimed(text):
    """speedtest1's report without its times."""
    return re.sub(r" +\d+\.\d+s$", "", text, flags=re.M)
