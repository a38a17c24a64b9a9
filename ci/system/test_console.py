"""Consoles: WebSockets in both directions, with an ordinary client."""

import json
import socket

import pytest
import skep
import websocket
from helpers import MIB, attach, guest_program

NORMAL, REFUSED = 1000, 1008
ANY_BYTES = bytes(range(5, 256)) + b"\x00\x01\x02\x03"  # but the one that ends the guest


@pytest.fixture
def cat(api):
    api.upload("console", guest_program("console"))
    api.create("cat", image="console", memory_bytes=2 * MIB, desired_state="running", restart="never")
    api.wait_state("cat", "running")
    return api


def read_bytes(console, count):
    data = b""
    while len(data) < count:
        data += console.recv()
    return data


def read_close(console):
    """The status and reason of the server's close; what comes before is dropped."""
    while True:
        opcode, data = console.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big"), data[2:].decode()


def test_any_byte_goes_both_ways(cat):
    """Several look on while one writes; bytes are passed on as they are, also those that are no characters."""
    others = [attach(cat) for _ in range(3)]
    writer = attach(cat, query="?input=true")
    data = ANY_BYTES * 40  # more than all the buffers on the way
    writer.send_binary(data)
    for console in (writer, *others):
        assert read_bytes(console, len(data)) == data
    writer.send("as text: ü\n")
    assert read_bytes(writer, 12) == "as text: ü\n".encode()
    writer.ping("still there?")
    opcode, answer = writer.recv_data(control_frame=True)
    assert (opcode, answer) == (websocket.ABNF.OPCODE_PONG, b"still there?")
    writer.send_binary(b"\x04")
    for console in (writer, *others):
        assert read_close(console) == (NORMAL, "the guest has ended")


def test_one_writes(cat):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        first = attach(cat, query="?input=true")
        attach(cat, query="?input=true")
    assert refused.value.status_code == 409
    first.close()
    second = attach(cat, query="?input=true")  # the close was answered, so the place is free
    second.send_binary(b"mine")
    assert read_bytes(second, 4) == b"mine"
    looker = attach(cat)
    looker.send_binary(b"not mine")
    assert read_close(looker) == (REFUSED, "this console is for reading: ask for input=true")
    second.send_binary(b" still")
    assert read_bytes(second, 6) == b" still"
    second.close()


def test_offsets_go_on(cat):
    writer = attach(cat, query="?input=true")
    writer.send_binary(b"0123456789")
    read_bytes(writer, 10)
    writer.close()
    late = attach(cat, query="?offset=4")
    assert late.headers["skep-log-offset"] == "4"
    assert read_bytes(late, 6) == b"456789"
    late.close()
    assert cat.log("cat") == b"0123456789"


def test_what_is_no_websocket(cat):
    path = "/v1/guests/cat/console"
    answer = cat.get(path)
    assert answer.status_code == 426 and answer.headers["Upgrade"] == "websocket"
    good = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    for name, value in (
        ("Sec-WebSocket-Version", "12"), ("Upgrade", "h2c"), ("Sec-WebSocket-Key", "short"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=!"), ("Connection", "keep-alive"),
    ):  # fmt: skip
        answer = cat.get(path, headers={**good, name: value})
        assert answer.status_code == 426, (name, value)
        assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert cat.get("/v1/guests/none/console", headers=good).status_code == 404
    assert cat.get(path, headers=good, params={"offset": 10**6}).status_code == 400
    # A wish for another protocol that isn't granted changes nothing: the connection goes on.
    for _ in range(3):
        assert cat.get("/healthz", headers={"Connection": "Upgrade", "Upgrade": "h2c"}).ok


def test_frames_against_the_rules(cat):
    """Each ends its own connection, with the status that RFC 6455 has for it, and nothing else."""
    for frame, status in (
        (b"\x82\x03abc", 1002),  # not masked
        (b"\xc2\x80\x00\x00\x00\x00", 1002),  # a reserved bit
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # a reserved opcode
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # goes on with nothing
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009),
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # text that is none
    ):
        console = attach(cat)
        console.sock.sendall(frame)
        assert read_close(console)[0] == status, frame
        console.shutdown()
    writer = attach(cat, query="?input=true")
    writer.send_binary(b"well")
    assert read_bytes(writer, 4) == b"well"
    writer.close()


def test_slow_readers(api):
    """They hold up neither the guest nor each other: who is overtaken is told, who takes nothing is dropped."""
    api.upload("console", guest_program("console"))
    line = "the same again and again\n"
    api.create(
        "yes", image="console", memory_bytes=2 * MIB, desired_state="running", args=[line.strip()],
    )  # fmt: skip
    small = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)
    stuck = attach(api, "yes", "?input=true", sockopt=small)
    reader = attach(api, "yes")
    offset, overtaken = int(reader.headers["skep-log-offset"]), 0

    def may_write_again():
        nonlocal offset, overtaken
        opcode, data = reader.recv_data()
        if opcode == websocket.ABNF.OPCODE_TEXT:
            overtaken += 1
            offset += json.loads(data)["lost_bytes"]
        else:
            start = offset % len(line)
            assert data.decode() == (line * (len(data) // len(line) + 2))[start : start + len(data)]
            offset += len(data)
        try:
            attach(api, "yes", "?input=true").close()
        except websocket.WebSocketBadStatusException as refused:
            assert refused.status_code == 409
            return False
        return True

    skep.wait_for(may_write_again, "the stuck client is dropped")
    assert overtaken
    reader.close()
    stuck.shutdown()
