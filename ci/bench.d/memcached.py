"""ci/bench memcached: memcached as a guest (examples/ports/memcached) beside Debian's in Linux.

Each client sets and gets keys of its own, with values of 100 bytes, by the text protocol; each answer is compared with what
it must be. What else is the same is in beside.py.
"""

import contextlib
import functools
import socket

import beside
import linux
import web

MIB = 1 << 20
CLIENTS, VALUE_BYTES = 8, 100
LOADS = {1: 20_000, 16: 100_000}  # requests by how many are sent at once
OPTIONS = ["-u", "root", "-m", "32", "-t", "1"]  # there is one CPU
LIBRARIES = ("libevent-2.1-7", "libsasl2-2", "libssl3", "libdb5.3")


def programs():
    return [linux.package("memcached") / "usr/bin/memcached"]


def answers(where):
    with contextlib.suppress(OSError), socket.create_connection(where, timeout=2) as client:
        client.sendall(b"version\r\n")
        return client.recv(100).startswith(b"VERSION ")


def blocks(client, at_once):
    """What a client sends and is to get, by command."""
    sets, stored, gets, found = b"", b"", b"", b""
    for number in range(at_once):
        key = b"key-%d-%d" % (client, number)
        value = (key + b" ").ljust(VALUE_BYTES, b"x")
        sets += b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)
        stored += b"STORED\r\n"
        gets += b"get %s\r\n" % key
        found += b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value)
    return {"SET": (sets, stored), "GET": (gets, found)}


def rates(where, at_once):
    """Requests a second by command."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(where, timeout=60)) for _ in range(CLIENTS)]
        found = {}
        for command in ("SET", "GET"):
            lanes = [(one, one, *blocks(number, at_once)[command]) for number, one in enumerate(clients)]
            found[command] = beside.lanes_rate(lanes, at_once, LOADS[at_once])
        return found


MEMCACHED = beside.Server(
    name="memcached",
    port=11211,
    image="memcached",
    spec={"args": OPTIONS, "memory_bytes": 64 * MIB},
    programs=programs,
    libraries=LIBRARIES,
    start=f"memcached {' '.join(OPTIONS)} -d",
    files={"/etc/passwd": b"root:x:0:0::/:/bin/sh\n"},
    answers=answers,
    rates=rates,
    loads=tuple(LOADS),
    clients=CLIENTS,
)


def sections(options):
    web.enter(options, packages=("memcached", *LIBRARIES))
    return {"memcached": functools.partial(beside.rows, MEMCACHED, options)}
