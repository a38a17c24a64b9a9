"""A disk for QEMU that remembers what was written to it, when, and what a flush has made durable of that.

The machine under test sees an ordinary disk (QEMU's driver of network block devices, a UNIX socket). The log is the
judge's: from it come images of what a power cut at any moment could have left: all that was flushed by then, and any part
of what was written since. Nothing of it is known to the system under test.

    disk = Disk(64 << 20)
    with disk.serve(folder / "disk.sock") as address: …      # -drive driver=nbd,server.type=unix,server.path=…
    for cut in disk.cuts(count=60, seed=1): image = cut.image()
"""

import contextlib
import dataclasses
import enum
import random
import socket
import struct
import threading

SECTOR = 512

# The NBD protocol, "fixed newstyle" (https://github.com/NetworkBlockDevice/nbd, doc/proto.md).
_GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 0b11)
_OPTION = struct.Struct(">QII")
_OPTION_MAGIC = 0x49484156454F5054
_OPTION_REPLY = struct.Struct(">QIII")
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST = struct.Struct(">IHHQQI")
_REQUEST_MAGIC = 0x25609513
_REPLY = struct.Struct(">IIQ")
_REPLY_MAGIC = 0x67446698
_OPT_EXPORT_NAME, _OPT_ABORT, _OPT_INFO, _OPT_GO = 1, 2, 6, 7
_REP_ACK, _REP_INFO, _REP_UNSUPPORTED = 1, 3, 0x80000001
_CMD_READ, _CMD_WRITE, _CMD_DISCONNECT, _CMD_FLUSH, _CMD_TRIM, _CMD_ZEROES = 0, 1, 2, 3, 4, 6
_FLAG_FUA = 1
_EXPORT_FLAGS = 0b1101101  # flags are sent; flush, FUA, trim and write-zeroes are understood
_EIO, _EINVAL = 5, 22
_REQUEST_MAX = 64 << 20


class Kind(enum.Enum):
    WRITE = enum.auto()
    ZERO = enum.auto()
    TRIM = enum.auto()
    FLUSH = enum.auto()
    MARK = enum.auto()


@dataclasses.dataclass
class Entry:
    """A request in the order of arrival, or a mark that a test made."""

    kind: Kind
    offset: int = 0
    length: int = 0
    data: bytes = b""
    name: str = ""
    came: int = 0  # moments: numbers that ascend with each arrival, answer and mark
    answered: int = None  # None = it never was
    durable: int = None  # the moment from which on it had to survive a cut


class Disk:
    """size: bytes. image: a bytes-like object that it starts with; the rest is zeroes."""

    def __init__(self, size, image=b""):
        self.size = size
        self.data = bytearray(size)
        self.data[: len(image)] = image
        self.base = bytes(self.data)
        self.entries = []
        self.volatile = []  # of these, what a cut could lose
        self.moment = 0
        self.lock = threading.Lock()
        self.fail = lambda kind, offset, length: False  # whether a request ends with an I/O error

    # ---- what tests do ----

    @contextlib.contextmanager
    def serve(self, path):
        """Serves the disk on a UNIX socket at this path."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)
            path.unlink(missing_ok=True)

    def mark(self, name):
        """Notes that a moment has come: what was acknowledged before it must be there after a cut behind it."""
        with self.lock:
            self.entries.append(Entry(Kind.MARK, name=name, came=self._tick()))

    def cuts(self, count, seed, since="", until=""):
        """Power cuts at chosen moments, the same for the same log and seed. since, until: marks, "" = the whole log."""
        chooser = random.Random(seed)
        with self.lock:
            entries = list(self.entries)
        first = next((e.came for e in entries if e.kind is Kind.MARK and e.name == since), 0)
        last = next((e.came for e in entries if e.kind is Kind.MARK and e.name == until), self.moment)
        for _ in range(count):
            yield Cut(self.base, entries, chooser.randint(first, last), chooser.randrange(1 << 32))

    # ---- the log ----

    def _tick(self):
        self.moment += 1
        return self.moment

    def _arrive(self, kind, offset, length, data=b""):
        with self.lock:
            entry = Entry(kind, offset, length, data, came=self._tick())
            self.entries.append(entry)
            self.volatile.append(entry)
            if kind is Kind.WRITE:
                self.data[offset : offset + length] = data
            elif kind is Kind.ZERO:
                self.data[offset : offset + length] = bytes(length)
        return entry

    def _answer(self, entry, durable):
        with self.lock:
            entry.answered = self._tick()
            settled = [entry] if durable or entry.kind is Kind.FLUSH else []
            if entry.kind is Kind.FLUSH:
                # Just what had been answered when it came: who flushes sooner has flushed nothing.
                settled += [other for other in self.volatile if other.answered and other.answered < entry.came]
            for other in settled:
                other.durable = entry.answered
            if settled:
                self.volatile = [other for other in self.volatile if other.durable is None]

    # ---- the protocol ----

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._client, args=(connection,), daemon=True).start()

    def _client(self, connection):
        with connection, contextlib.suppress(ConnectionError, OSError):
            if self._negotiate(connection):
                while self._request(connection):
                    pass

    def _negotiate(self, connection):
        connection.sendall(_GREETING)
        _receive(connection, 4)
        while True:
            magic, option, length = _OPTION.unpack(_receive(connection, _OPTION.size))
            _receive(connection, min(length, 4096))
            if magic != _OPTION_MAGIC or option == _OPT_ABORT:
                return False
            if option == _OPT_EXPORT_NAME:
                connection.sendall(struct.pack(">QH", self.size, _EXPORT_FLAGS))
                return True
            if option in (_OPT_GO, _OPT_INFO):
                info = struct.pack(">HQH", 0, self.size, _EXPORT_FLAGS)
                self._reply_option(connection, option, _REP_INFO, info)
                self._reply_option(connection, option, _REP_ACK, b"")
                if option == _OPT_GO:
                    return True
            else:
                self._reply_option(connection, option, _REP_UNSUPPORTED, b"")

    @staticmethod
    def _reply_option(connection, option, reply, data):
        head = _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, reply, len(data))
        connection.sendall(head + data)

    def _request(self, connection):
        head = _receive(connection, _REQUEST.size)
        magic, flags, command, handle, offset, length = _REQUEST.unpack(head)
        if magic != _REQUEST_MAGIC or command == _CMD_DISCONNECT or length > _REQUEST_MAX:
            return False
        payload = _receive(connection, length) if command == _CMD_WRITE else b""
        error, data = self._perform(command, offset, length, payload, flags & _FLAG_FUA)
        connection.sendall(_REPLY.pack(_REPLY_MAGIC, error, handle) + data)
        return True

    def _perform(self, command, offset, length, payload, durable):
        """One request from arrival to answer: (error, data read)."""
        kinds = {_CMD_WRITE: Kind.WRITE, _CMD_ZEROES: Kind.ZERO, _CMD_TRIM: Kind.TRIM, _CMD_FLUSH: Kind.FLUSH}
        kind = kinds.get(command)
        if offset + length > self.size or (kind is None and command != _CMD_READ):
            return _EINVAL, b""
        if self.fail(kind, offset, length):
            return _EIO, b""  # an error has no data
        if kind is None:
            with self.lock:
                return 0, bytes(self.data[offset : offset + length])
        entry = self._arrive(kind, offset, length, payload)
        self._answer(entry, durable)
        return 0, b""


class Cut:
    """What a power cut at a moment could have left. share: how much of what wasn't flushed, None = by chance."""

    def __init__(self, base, entries, moment, seed, share=None):
        self.base, self.entries, self.moment, self.seed, self.share = base, entries, moment, seed, share

    def marks(self):
        """Names of the marks before the cut, in order."""
        return [e.name for e in self.entries if e.kind is Kind.MARK and e.came <= self.moment]

    def image(self):
        """The medium: all that is durable, and by chance parts of the rest, each sector whole."""
        chooser = random.Random(self.seed)
        share = chooser.choice((0.0, 0.1, 0.5, 0.9, 1.0)) if self.share is None else self.share
        medium = bytearray(self.base)
        for entry in self.entries:
            if entry.came > self.moment:
                break
            if entry.kind not in (Kind.WRITE, Kind.ZERO):
                continue  # what is trimmed may stay as it was
            data = entry.data if entry.kind is Kind.WRITE else bytes(entry.length)
            if entry.durable is not None and entry.durable <= self.moment:
                medium[entry.offset : entry.offset + entry.length] = data
            elif chooser.random() < share:
                self._write_torn(chooser, medium, entry.offset, data)
        return bytes(medium)

    @staticmethod
    def _write_torn(chooser, medium, offset, data):
        """A write that was underway: all of it, or some of its sectors."""
        if chooser.random() < 0.5:
            medium[offset : offset + len(data)] = data
            return
        for at in range(0, len(data), SECTOR):
            if chooser.random() < 0.5:
                piece = data[at : at + SECTOR]
                medium[offset + at : offset + at + len(piece)] = piece

    def __str__(self):
        return f"cut at {self.moment} of {self.entries[-1].came if self.entries else 0}, seed {self.seed}"


def _receive(connection, length):
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise ConnectionError("the client is gone")
        data += piece
    return bytes(data)
