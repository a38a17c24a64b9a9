"""The judge of power cuts itself: what its log says to be durable, and what a cut leaves."""

import contextlib
import socket
import struct

import nbd

PAGE = 4096


class Client:
    """Speaks to the disk as QEMU would."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        assert nbd._receive(self.socket, 18).startswith(b"NBDMAGIC")
        go = struct.pack(">IQIIIH", 3, nbd._OPTION_MAGIC, nbd._OPT_GO, 6, 0, 0)
        self.socket.sendall(go)
        nbd._receive(self.socket, 2 * nbd._OPTION_REPLY.size + 12)

    def call(self, command, offset=0, length=0, data=b"", flags=0):
        head = nbd._REQUEST.pack(nbd._REQUEST_MAGIC, flags, command, 7, offset, length)
        self.socket.sendall(head + data)
        _, error, handle = nbd._REPLY.unpack(nbd._receive(self.socket, nbd._REPLY.size))
        assert handle == 7
        wanted = length if command == nbd._CMD_READ and not error else 0
        return error, nbd._receive(self.socket, wanted)

    def write(self, offset, letter, bytes_=PAGE, flags=0):
        return self.call(nbd._CMD_WRITE, offset, bytes_, letter * bytes_, flags)[0]

    def flush(self):
        return self.call(nbd._CMD_FLUSH)[0]


@contextlib.contextmanager
def served(folder, size=1 << 20):
    disk = nbd.Disk(size)
    with disk.serve(folder / "disk.sock") as path:
        client = Client(path)
        with client.socket:
            yield disk, client


def test_flushed_is_kept_and_the_rest_may_be(tmp_path):
    with served(tmp_path) as (disk, client):
        client.write(0, b"a")
        client.flush()
        disk.mark("a")
        client.write(0, b"b")
        client.write(PAGE, b"c")
    seen = set()
    for cut in disk.cuts(300, seed=1):
        image = cut.image()
        pages = frozenset(image[:PAGE]), frozenset(image[PAGE : 2 * PAGE])
        seen.add(pages)
        if "a" in cut.marks():
            assert pages[0] <= {ord("a"), ord("b")}, cut
    a, b, c, nothing = frozenset(b"a"), frozenset(b"b"), frozenset(b"c"), frozenset(b"\0")
    # Each by itself, both, none, and parts of a write.
    assert {(a, nothing), (b, nothing), (a, c), (b, c), (nothing, nothing)} <= seen
    assert any(len(first) == 2 for first, _ in seen)


def test_fua_is_durable_alone(tmp_path):
    with served(tmp_path) as (disk, client):
        client.write(0, b"a")
        client.write(PAGE, b"b", flags=nbd._FLAG_FUA)
        disk.mark("b")
        client.write(2 * PAGE, b"c")
    images = [cut.image() for cut in disk.cuts(100, seed=2, since="b")]
    assert all(image[PAGE : 2 * PAGE] == b"b" * PAGE for image in images)
    assert any(image[:PAGE] == bytes(PAGE) for image in images)


def test_reads_errors_and_zeroes(tmp_path):
    with served(tmp_path) as (disk, client):
        assert client.write(0, b"x") == 0
        assert client.call(nbd._CMD_ZEROES, 512, 512) == (0, b"")
        error, data = client.call(nbd._CMD_READ, 0, PAGE)
        assert error == 0 and data == b"x" * 512 + bytes(512) + b"x" * (PAGE - 1024)
        assert client.call(nbd._CMD_READ, disk.size, PAGE)[0] == nbd._EINVAL
        disk.fail = lambda kind, offset, length: kind is nbd.Kind.FLUSH
        assert client.flush() == nbd._EIO
        assert client.write(PAGE, b"y") == 0
        disk.fail = lambda kind, offset, length: kind is None
        assert client.call(nbd._CMD_READ, 0, PAGE) == (nbd._EIO, b"")
        disk.fail = lambda kind, offset, length: False
        assert client.call(nbd._CMD_READ, PAGE, PAGE) == (0, b"y" * PAGE)


def test_cuts_repeat(tmp_path):
    with served(tmp_path) as (disk, client):
        for number in range(20):
            client.write(number * PAGE, bytes([number + 1]))
    first = [cut.image() for cut in disk.cuts(20, seed=3)]
    assert first == [cut.image() for cut in disk.cuts(20, seed=3)]
    assert len(set(first)) > 10
