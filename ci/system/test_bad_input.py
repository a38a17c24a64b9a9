"""Bad input of every kind gets a clear 4xx or a closed connection, changes nothing and leaks nothing."""

import contextlib
import json
import socket
import ssl
import struct
import time

import pytest
import requests

import skep
from conftest import NEIGHBOUR
from helpers import CONTROL_GROWTH, MIB, example, frames, is_problem, wait_frames

GOOD = {"image": "hello", "memory_bytes": 2 * MIB, "desired_state": "stopped"}


@pytest.fixture
def hello(api):
    """The API with the image hello; nothing that a test does may change what there is."""
    api.upload("hello", example("hello"))
    before = state(api)
    baseline = frames(api)
    yield api
    assert state(api) == before
    wait_frames(api, baseline, CONTROL_GROWTH)


def state(api):
    return {kind: api.ok("GET", f"/v1/{kind}")["items"] for kind in ("images", "guests")}


MALFORMED = {
    "empty": b"",
    "cut": b'{"image": "hello"',
    "no-object": b"[]",
    "number": b"17",
    "trailing": b'{"image": "hello"} x',
    "single-quotes": b"{'image': 'hello'}",
    "not-utf-8": b'{"image": "\xff\xfe"}',
    "nul": b'{"image": "hel\\u0000lo"}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "deep-object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "huge-number": b'{"memory_bytes": 1e400}',
    "duplicate": b'{"image": "hello", "image": "other"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_json(hello, body):
    headers = {"Content-Type": "application/json"}
    is_problem(hello.put("/v1/guests/bad", data=body, headers=headers), 400, 413, 422)
    is_problem(hello.patch("/v1/guests/bad", data=body, headers=headers), 400, 404, 413, 422)


WRONG_FIELDS = {
    "unknown": {"colour": "blue"},
    "image-missing": {"image": None},
    "image-number": {"image": 5},
    "memory-text": {"memory_bytes": "2M"},
    "memory-negative": {"memory_bytes": -4096},
    "memory-fraction": {"memory_bytes": 1.5 * MIB + 0.5},
    "memory-zero": {"memory_bytes": 0},
    "memory-too-small": {"memory_bytes": 4096},
    "memory-2^64": {"memory_bytes": 2**64},
    "vcpus-none": {"vcpus": 0},
    "vcpus-33": {"vcpus": 33},
    "vcpus-bool": {"vcpus": True},
    "args-text": {"args": "a b"},
    "args-numbers": {"args": [1, 2]},
    "args-too-long": {"args": ["x" * 20000]},
    "env-list": {"env": ["A=B"]},
    "env-number": {"env": {"A": 1}},
    "env-equals": {"env": {"A=B": "c"}},
    "networks-object": {"networks": {"address": "dhcp"}},
    "networks-five": {"networks": [{"address": "dhcp"}] * 5},
    "network-unknown": {"networks": [{"address": "dhcp", "speed": 1}]},
    "address-none": {"networks": [{"gateway": "10.0.2.2"}]},
    "address-name": {"networks": [{"address": "localhost"}]},
    "address-no-prefix": {"networks": [{"address": "10.0.2.20"}]},
    "address-prefix-33": {"networks": [{"address": "10.0.2.20/33"}]},
    "address-256": {"networks": [{"address": "10.0.2.256/24"}]},
    "address-multicast": {"networks": [{"address": "224.0.0.1/24"}]},
    "address-broadcast": {"networks": [{"address": "10.0.2.255/24"}]},
    "gateway-elsewhere": {"networks": [{"address": "10.0.2.20/24", "gateway": "10.9.9.9"}]},
    "mac-short": {"networks": [{"address": "dhcp", "mac": "52:54:00"}]},
    "mac-multicast": {"networks": [{"address": "dhcp", "mac": "01:00:5e:00:00:01"}]},
    "desired-state": {"desired_state": "sleeping"},
    "restart": {"restart": "sometimes"},
}


@pytest.mark.parametrize("change", WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_wrong_fields(hello, change):
    spec = {key: value for key, value in (GOOD | change).items() if value is not None}
    detail = is_problem(hello.put("/v1/guests/bad", json=spec), 400, 422)
    named = [key for key in change if key.rstrip("s") in detail]
    assert named, f"the detail doesn't name the field: {detail}"


def test_more_memory_than_there_is(hello):
    free = hello.host()["memory"]["free"]
    response = hello.put("/v1/guests/big", json=GOOD | {"memory_bytes": free // 4096 * 4096 + MIB})
    is_problem(response, 400, 409, 422)


@pytest.mark.parametrize(
    "name", ["Upper", "-dash", "under_score", "dot.dot", "a" * 64, "%00", "a%2fb", "ü", "%20", "a b"]
)
@pytest.mark.parametrize("kind", ["guests", "images"])
def test_bad_names(hello, kind, name):
    body = {"json": GOOD} if kind == "guests" else {"data": example("hello").read_bytes()}
    is_problem(hello.put(f"/v1/{kind}/{name}", **body), 400, 404, 422)
    is_problem(hello.get(f"/v1/{kind}/{name}"), 400, 404, 422)


def test_longest_name(api):
    name = "a" * 63
    api.upload(name, example("hello"))
    api.ok("DELETE", f"/v1/images/{name}")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "BREW"])
def test_wrong_methods(hello, method):
    for path in ("/v1/host", "/v1/images/hello", "/v1/guests"):
        is_problem(hello.request(method, path), 404, 405, 501)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": None},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer " + "x" * 4000},
    ],
    ids=["none", "empty", "blank", "wrong", "basic", "long"],
)
def test_token(hello, headers):
    is_problem(hello.get("/v1/host", headers=headers), 400, 401, 431)
    is_problem(hello.delete("/v1/images/hello", headers=headers), 400, 401, 431)
    for cut in (hello.headers["Authorization"][:-1], hello.headers["Authorization"] + "0"):
        is_problem(hello.get("/v1/host", headers={"Authorization": cut}), 401)


# Hostile images, made of a good one.


class Elf:
    """An ELF64 file that can be spoiled field by field."""

    HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
    SEGMENT = struct.Struct("<IIQQQQQQ")
    FIELDS = ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")
    LOAD, NOTE = 1, 4

    def __init__(self, path):
        self.data = bytearray(path.read_bytes())
        header = self.HEADER.unpack_from(self.data)
        self.table, self.count = header[5], header[10]

    def segment(self, index):
        values = self.SEGMENT.unpack_from(self.data, self.table + index * self.SEGMENT.size)
        return dict(zip(self.FIELDS, values))

    def change(self, index, **fields):
        values = self.segment(index) | fields
        packed = self.SEGMENT.pack(*(values[field] for field in self.FIELDS))
        at = self.table + index * self.SEGMENT.size
        self.data[at : at + len(packed)] = packed

    def put(self, offset, format, value):
        struct.pack_into(format, self.data, offset, value)

    def loads(self):
        return [i for i in range(self.count) if self.segment(i)["type"] == self.LOAD]

    def of_type(self, kind):
        return [i for i in range(self.count) if self.segment(i)["type"] == kind]

    def writable(self):
        return next(i for i in self.loads() if self.segment(i)["flags"] & 2)

    def executable(self):
        return next(i for i in self.loads() if self.segment(i)["flags"] & 1)


def spoil_header(offset, format, value):
    return lambda elf: elf.put(offset, format, value)


def spoil_segment(which, **fields):
    """Fields may be functions of the segment's old values."""

    def spoil(elf):
        index = which(elf)
        old = elf.segment(index)
        elf.change(index, **{k: v(old) if callable(v) else v for k, v in fields.items()})

    return spoil


def overlap(elf):
    first, second = elf.loads()[:2]
    elf.change(second, vaddr=elf.segment(first)["vaddr"], paddr=elf.segment(first)["paddr"])


def descend(elf):
    first, second = elf.loads()[:2]
    one, two = elf.segment(first), elf.segment(second)
    elf.change(first, **two)
    elf.change(second, **one)


def no_loads(elf):
    for index in elf.loads():
        elf.change(index, type=0)


def no_note(elf):
    for index in elf.of_type(Elf.NOTE):
        elf.change(index, type=0)


def other_abi(elf):
    at = elf.data.index(b"Skep\0") + 8  # the name is padded to a multiple of four
    elf.put(at, "<H", 99)


def unknown_feature(elf):
    elf.put(elf.data.index(b"Skep\0") + 16, "<Q", 1 << 63)


def damaged_names(elf):
    """The last note's contents begin with a number that doesn't end."""
    elf.put(elf.data.rindex(b"Skep\0") + 8, "<Q", 2**64 - 1)


HOSTILE = {
    "no-magic": spoil_header(0, "<I", 0),
    "32-bit": spoil_header(4, "<B", 1),
    "big-endian": spoil_header(5, "<B", 2),
    "relocatable": spoil_header(16, "<H", 1),
    "other-machine": spoil_header(18, "<H", 40),
    "entry-outside": spoil_header(24, "<Q", 1 << 40),
    "entry-upper-half": spoil_header(24, "<Q", 0xFFFFFFFF80000000),
    "table-outside": spoil_header(32, "<Q", 1 << 40),
    "table-wraps": spoil_header(32, "<Q", 2**64 - 32),
    "segment-size": spoil_header(54, "<H", 8),
    "segment-count-none": spoil_header(56, "<H", 0),
    "segment-count-65535": spoil_header(56, "<H", 65535),
    "no-loads": no_loads,
    "function-names-damaged": damaged_names,
    "overlapping": overlap,
    "descending": descend,
    "write-and-execute": spoil_segment(Elf.writable, flags=7),
    "execute-and-write": spoil_segment(Elf.executable, flags=7),
    "unaligned": spoil_segment(Elf.writable, vaddr=lambda old: old["vaddr"] + 8),
    "alignment-odd": spoil_segment(Elf.writable, align=4095),
    "upper-half": spoil_segment(Elf.writable, vaddr=0xFFFFFFFF80000000),
    "address-wraps": spoil_segment(Elf.writable, vaddr=2**64 - 4096),
    "beyond-the-lower-half": spoil_segment(Elf.writable, vaddr=1 << 47),
    "memory-huge": spoil_segment(Elf.writable, memsz=1 << 46),
    "memory-wraps": spoil_segment(Elf.writable, memsz=2**64 - 1),
    "file-beyond-memory": spoil_segment(Elf.writable, memsz=1, filesz=4096),
    "offset-outside": spoil_segment(Elf.executable, offset=1 << 40),
    "offset-wraps": spoil_segment(Elf.executable, offset=2**64 - 4096),
    "file-size-outside": spoil_segment(
        Elf.executable, filesz=lambda old: old["filesz"] + (1 << 30), memsz=1 << 31
    ),
    "no-note": no_note,
    "note-outside": spoil_segment(lambda elf: elf.of_type(Elf.NOTE)[0], offset=1 << 40),
    "other-abi": other_abi,
    "unknown-feature": unknown_feature,
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_hostile_elf(hello, spoil):
    elf = Elf(example("hello"))
    spoil(elf)
    is_problem(hello.put("/v1/images/hostile", data=bytes(elf.data)), 400, 413, 422)
    is_problem(hello.get("/v1/images/hostile"), 404)


@pytest.mark.parametrize("size", [0, 1, 15, 63, 64, 100, 4096, "half", "all but one segment's end"])
def test_truncated_elf(hello, size):
    elf = Elf(example("hello"))
    if size == "half":
        size = len(elf.data) // 2
    elif not isinstance(size, int):
        ends = [elf.segment(i)["offset"] + elf.segment(i)["filesz"] for i in elf.loads()]
        size = max(ends) - 1
    is_problem(hello.put("/v1/images/cut", data=bytes(elf.data[:size])), 400, 422)
    is_problem(hello.get("/v1/images/cut"), 404)


def test_other_files_are_no_images(hello):
    for data in (b"#!/bin/sh\n", bytes(8192), b"\x7fELF" + bytes(60), b"\x7fELF" + b"\xff" * 8192):
        is_problem(hello.put("/v1/images/other", data=data), 400, 422)


# Sizes and manners.


def raw(machine, timeout=30):
    """A TLS connection without a client's manners."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", machine.api_port), timeout=timeout)
    return context.wrap_socket(plain)


def read_all(connection):
    """What the server says until it closes; a reset counts as closed."""
    text = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(65536):
            text += piece
    return text


def raw_request(machine, text, timeout=30):
    with raw(machine, timeout) as connection:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            connection.sendall(text)
        return read_all(connection)


def test_body_over_the_limit(machine, hello):
    """Refused by its announced length, before it is sent."""
    for path in ("images/big", "guests/big"):
        answer = raw_request(
            machine,
            f"PUT /v1/{path} HTTP/1.1\r\nHost: skep\r\nAuthorization: Bearer {machine.token}\r\n"
            f"Content-Length: {1 << 40}\r\nConnection: close\r\n\r\n".encode(),
        )
        assert b" 413 " in answer.split(b"\r\n")[0], answer[:200]


def test_json_body_over_the_limit(hello):
    spec = GOOD | {"env": {f"NAME_{i}": "x" * 1000 for i in range(2000)}}
    try:
        is_problem(hello.put("/v1/guests/big", json=spec), 400, 413, 422)
    except requests.ConnectionError:
        pass  # closed before all was sent
    is_problem(hello.get("/v1/guests/big"), 404)


BAD_HTTP = {
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "no-version": b"GET /healthz\r\n\r\n",
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "long-line": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
    "many-headers": b"GET /healthz HTTP/1.1\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
    "long-header": b"GET /healthz HTTP/1.1\r\nX-A: " + b"b" * 100000 + b"\r\n\r\n",
    "two-lengths": b"PUT /v1/guests/a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "negative-length": b"PUT /v1/guests/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
    "length-and-chunks": b"PUT /v1/guests/a HTTP/1.1\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-chunk": b"PUT /v1/guests/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge-chunk": b"PUT /v1/guests/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffffff\r\n",
}


@pytest.mark.parametrize("text", BAD_HTTP.values(), ids=BAD_HTTP)
def test_bad_http(machine, hello, text):
    answer = raw_request(machine, text)
    assert not answer or answer.startswith(b"HTTP/1.1 4") or b" 505 " in answer[:20], answer[:200]


def test_plain_http_on_the_tls_port(machine, hello):
    with socket.create_connection(("127.0.0.1", machine.api_port), timeout=30) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: skep\r\n\r\n")
        answer = read_all(connection)
    assert b"200" not in answer


def test_garbage_instead_of_a_handshake(machine, hello):
    for garbage in (b"\xff" * 4096, b"\x16\x03\x01\xff\xff" + b"\x01" * 4096):
        with socket.create_connection(("127.0.0.1", machine.api_port), timeout=60) as connection:
            connection.settimeout(60)
            with contextlib.suppress(ConnectionError):
                connection.sendall(garbage)
            read_all(connection)


def closes_in_time(connection, seconds=60):
    connection.settimeout(seconds)
    begin = time.monotonic()
    try:
        read_all(connection)
    except TimeoutError:
        return False
    return time.monotonic() - begin < seconds


def test_silent_clients_do_not_lock_others_out(machine, hello):
    """Connections that say nothing, before or after the handshake, are closed; others are served meanwhile."""
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", machine.api_port), timeout=30)
            )
            for _ in range(24)
        ]
        patient = skep.Api(machine.api_port, machine.token, hello.fingerprint)
        assert patient.get("/v1/host", timeout=60).status_code == 200
        assert all(closes_in_time(connection) for connection in silent)
    assert hello.get("/v1/host").status_code == 200


def test_slow_client(machine, hello):
    """A request that comes byte by byte is cut off after a while, and others are served meanwhile."""
    begin = time.monotonic()
    with raw(machine) as slow:
        slow.settimeout(1)
        while time.monotonic() - begin < 90:
            try:
                slow.sendall(b"x")
                slow.recv(1)  # whatever comes, an answer or the end: it was cut off
                return
            except TimeoutError:
                assert hello.get("/healthz").status_code == 200
            except OSError:
                return
    pytest.fail("a slow request was let go on for 90 s")


def test_upload_that_stops_half_way(machine, hello):
    data = example("hello").read_bytes()
    with raw(machine) as connection:
        connection.sendall(
            f"PUT /v1/images/half HTTP/1.1\r\nHost: skep\r\nAuthorization: Bearer {machine.token}\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode() + data[: len(data) // 2]
        )
    is_problem(hello.get("/v1/images/half"), 404)


def test_address_of_skep_itself(hello):
    spec = GOOD | {"networks": [{"address": "10.0.2.15/24"}]}
    is_problem(hello.put("/v1/guests/spoof", json=spec), 400, 409, 422)


def test_bad_patch_leaves_the_guest_alone(machine, api):
    api.upload("httpd", example("httpd"))
    networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
    api.create(
        "web", image="httpd", memory_bytes=4 * MIB, networks=networks, desired_state="running"
    )
    machine.wait_page(NEIGHBOUR)
    before = json.dumps(api.ok("GET", "/v1/guests/web")["spec"], sort_keys=True)
    for change in ({"vcpus": 0}, {"colour": 1}, {"image": "none"}, {"desired_state": 3}):
        is_problem(api.patch("/v1/guests/web", json=change), 400, 404, 409, 422)
    assert json.dumps(api.ok("GET", "/v1/guests/web")["spec"], sort_keys=True) == before
    assert machine.fetch(NEIGHBOUR)
