"""ci/bench mosquitto: mosquitto as a guest (examples/ports/mosquitto) beside Debian's in Linux.

Each of some clients publishes messages of 100 bytes with quality of service 0, and another one, which has subscribed, must
get exactly these. What else is the same is in beside.py.
"""

import contextlib
import functools
import socket

import beside
import linux
import web

MIB = 1 << 20
PAIRS, MESSAGE_BYTES = 8, 100
LOADS = {1: 4_000, 16: 20_000}  # messages by how many are sent at once
CONF = """
listener 1883
allow_anonymous true
user root
log_dest stdout
set_tcp_nodelay true
"""  # else a message waits until the one before it was acknowledged, which its receiver delays
LIBRARIES = ("libcjson1", "libmosquitto1", "libcap2", "libdlt2", "libssl3", "libsystemd0", "libwrap0", "libnsl2", "libtirpc3")
CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK = 0x10, b"\x20\2\0\0", 0x30, 0x82, b"\x90\3\0\1\0"


def programs():
    return [linux.package("mosquitto") / "usr/sbin/mosquitto"]


def text(word):
    return len(word).to_bytes(2, "big") + word


def packet(kind, body):
    """Of MQTT 3.1.1, with less than 16 KiB."""
    length = [len(body)] if len(body) < 128 else [len(body) % 128 | 128, len(body) // 128]
    return bytes([kind, *length]) + body


def ask(client, kind, body, answer):
    client.sendall(packet(kind, body))
    got = b""
    while len(got) < len(answer):
        piece = client.recv(len(answer) - len(got))
        assert piece, "the broker ended the connection"
        got += piece
    assert got == answer, got


def connect(where, name, seconds=60):
    client = socket.create_connection(where, timeout=seconds)
    try:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask(client, CONNECT, text(b"MQTT") + bytes([4, 2, 0, 0]) + text(name), CONNACK)
    except BaseException:
        client.close()
        raise
    return client


def answers(where):
    with contextlib.suppress(OSError, AssertionError):
        connect(where, b"first", seconds=2).close()
        return True


def rates(where, at_once):
    """Messages a second."""
    with contextlib.ExitStack() as stack:
        lanes = []
        for number in range(PAIRS):
            publisher, subscriber = (
                stack.enter_context(connect(where, b"%s%d" % (kind, number))) for kind in (b"publisher", b"subscriber")
            )
            topic = text(b"to/%d" % number)
            ask(subscriber, SUBSCRIBE, b"\0\1" + topic + b"\0", SUBACK)
            messages = [(b"%d of %d " % (i, number)).ljust(MESSAGE_BYTES, b"x") for i in range(at_once)]
            block = b"".join(packet(PUBLISH, topic + message) for message in messages)
            lanes.append((publisher, subscriber, block, block))
        return {"messages": beside.lanes_rate(lanes, at_once, LOADS[at_once])}


MOSQUITTO = beside.Server(
    name="mosquitto",
    port=1883,
    image="mosquitto",
    spec={
        "args": ["-c", "/bench.conf"],
        "files": [{"path": "/bench.conf", "content": CONF}],
        "memory_bytes": 16 * MIB,
    },
    programs=programs,
    libraries=LIBRARIES,
    start="mosquitto -c /bench.conf -d",
    files={"/bench.conf": CONF.encode(), "/etc/passwd": b"root:x:0:0::/:/bin/sh\n"},
    answers=answers,
    rates=rates,
    loads=tuple(LOADS),
    clients=PAIRS,
)


def sections(options):
    web.enter(options, packages=("mosquitto", *LIBRARIES))
    return {"mosquitto": functools.partial(beside.rows, MOSQUITTO, options)}
