"""Clients that hold a connection without getting on: an attack on the API's slots."""

import contextlib
import selectors
import socket
import ssl
import threading
import time

# The first record of a handshake, whose rest never comes.
HALF_HELLO = bytes.fromhex("16030100f0010000ec0303") + bytes(16)
DRIBBLE_SECONDS = 0.5


def any_certificate(version=None):
    """version: the only one, if one is said."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def connect(port, receive_bytes=None):
    plain = socket.socket()
    if receive_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plain.settimeout(30)
    plain.connect(("127.0.0.1", port))
    return plain


def stalled_reader(port, token, path):
    """Asks for something large, and doesn't read it."""
    connection = any_certificate().wrap_socket(connect(port, receive_bytes=4096))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: skep\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return connection


class Client:
    """One slow connection."""

    KINDS = ("silent", "half hello", "head", "body", "no reader", "silent")

    def __init__(self, port, number, version):
        self.port = port
        self.version = version
        self.kind = self.KINDS[number % len(self.KINDS)]
        self.socket = None
        self.opened = 0
        self.error = None

    def open(self):
        plain = connect(self.port)
        self.opened += 1
        if self.kind == "half hello":
            plain.sendall(HALF_HELLO)
        elif self.kind != "silent":
            plain = any_certificate(self.version).wrap_socket(plain)
            if self.kind == "body":
                plain.sendall(b"PUT /v1/images/x HTTP/1.1\r\nHost: skep\r\nContent-Length: 60000\r\n\r\n")
            elif self.kind == "no reader":
                plain.sendall(b"GET /v1/guests HTTP/1.1\r\nHost: skep\r\n\r\n" * 200)
        plain.setblocking(False)
        self.socket = plain

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def is_closed(self):
        """Whether the service has ended it. What it answers stays unread by those that don't read."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            if not selector.select(0):
                return False
        if self.kind == "no reader":
            return False
        try:
            return self.socket.recv(4096) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True

    def step(self):
        """Dribbles a byte; whether the connection is open still."""
        try:
            if not self.socket or self.is_closed():
                self.close()
            elif self.kind in ("head", "body"):
                self.socket.send(b"G" if self.kind == "head" else b"x")
            elif self.kind == "no reader":
                self.socket.send(b"\r\n")
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self.close()  # the service has ended it
        return self.socket is not None


class Attack:
    """So many slow connections, half of them in the handshake, from a few threads. Each of these opens one that has been
    closed again at each of its rounds: a steady stream, but no flood, which would be another attack."""

    THREADS = 8

    def __init__(self, port, count, version=None):
        self.clients = [Client(port, number, version) for number in range(count)]
        self.end = threading.Event()
        self.failure = None
        self.threads = [
            threading.Thread(target=self.run, args=(self.clients[number :: self.THREADS],))
            for number in range(self.THREADS)
        ]

    def run(self, clients):
        try:
            while not self.end.is_set():
                closed = [client for client in clients if not client.step()]
                never = [client for client in closed if client.opened == 0]
                for client in never or closed[:1]:
                    if not self.end.is_set():
                        self.open(client)
                clients = [client for client in clients if client not in closed] + closed[1:] + closed[:1]
                self.end.wait(DRIBBLE_SECONDS)
        except Exception as error:
            self.failure = error
            raise

    @staticmethod
    def open(client):
        with contextlib.suppress(OSError):
            client.open()

    def wait_open(self, seconds=60):
        """Until each has been open at least once."""
        deadline = time.monotonic() + seconds
        while any(client.opened == 0 for client in self.clients):
            assert time.monotonic() < deadline and self.failure is None
            time.sleep(0.05)

    def check(self):
        assert self.failure is None
        assert all(client.opened for client in self.clients)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join(60)
        for client in self.clients:
            client.close()
