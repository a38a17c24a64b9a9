"""ci/bench redis: Redis as a guest (examples/ports/redis) beside Debian's redis-server in Linux, of the same version.

Both keep their data in memory alone, and answer redis-benchmark. What else is the same is in beside.py.
"""

import csv
import functools
import pathlib
import subprocess

import beside
import qemu
import web

MIB = 1 << 20
CLIENTS = 8
SERVER = pathlib.Path("/usr/bin/redis-check-rdb")  # which is Debian's redis-server by another name
LOADS = {1: 20_000, 16: 100_000}  # requests by how many are sent at once


def programs():
    if not SERVER.is_file():
        raise qemu.Missing(f"{SERVER} doesn't exist: apt-get install --no-install-recommends redis-tools")
    return [SERVER]


def tool(where, *words, name="redis-benchmark", check=True):
    command = [name, "-h", where[0], "-p", str(where[1]), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=beside.LOAD_SECONDS).stdout


def answers(where):
    return tool(where, "PING", name="redis-cli", check=False) == "PONG\n"


def rates(where, at_once):
    """Requests a second by command."""
    said = tool(where, "-c", CLIENTS, "-n", LOADS[at_once], "-P", at_once, "-t", "set,get", "--csv")
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(said.splitlines())}


REDIS = beside.Server(
    name="redis",
    port=6379,
    image="redis-server",
    spec={"args": ["/redis.conf"], "memory_bytes": 64 * MIB},
    programs=programs,
    start=f"ln -s /bin/{SERVER.name} /bin/redis-server\n"
    "redis-server --bind '*' --protected-mode no --tcp-backlog 128 --save '' --daemonize yes",
    answers=answers,
    rates=rates,
    loads=tuple(LOADS),
    clients=CLIENTS,
)


def sections(options):
    web.enter(options, packages=())
    return {"redis": functools.partial(beside.rows, REDIS, options)}
