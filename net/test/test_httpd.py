#!/usr/bin/env python3
"""examples/httpd on this system: every path, keep-alive, pipelining, bad requests, SIGTERM."""

import socket
import subprocess
import sys


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text.encode())

    def answer(self):
        """Status, headers (lower case), body; None at the end of the connection."""
        line = self.stream.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self.stream.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers, self.stream.read(int(headers["content-length"]))

    def get(self, path, version="HTTP/1.1"):
        self.send(f"GET {path} {version}\r\nHost: x\r\n\r\n")
        return self.answer()


def check(port):
    client = Client(port)
    status, _, body = client.get("/")
    assert status == 200 and socket.gethostname().encode() in body, body
    assert client.get("/healthz")[::2] == (200, b"ok\n")
    assert client.get("/nothing")[0] == 404
    assert client.get("/bytes/x")[0] == 404
    assert client.get("/bytes/0")[::2] == (200, b"")
    assert client.get("/bytes/10000000")[2] == (bytes(range(251)) * 40000)[:10000000]

    client.send("GET /healthz HTTP/1.1\r\n\r\n" * 20)
    for _ in range(20):
        assert client.answer()[0] == 200
    for byte in "GET /healthz HTTP/1.1\r\n\r\n":
        client.send(byte)
    assert client.answer()[0] == 200

    assert client.get("/healthz", "HTTP/1.0")[1]["connection"] == "close"
    assert client.answer() is None

    for bad, status in (
        ("rubbish\r\n\r\n", 400),
        ("\r\n\r\n", 400),
        ("GET / SPDY/9\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405),
        ("GET /" + "a" * 4000, 431),
    ):
        client = Client(port)
        client.send(bad)
        assert client.answer()[0] == status, bad[:40]

    crowd = [Client(port) for _ in range(200)]
    for client in crowd:
        assert client.get("/healthz")[0] == 200
    Client(port).send("GET / HT")  # and gone


def main():
    port = free_port()
    server = subprocess.Popen([sys.argv[1], str(port)], stdout=subprocess.PIPE)
    try:
        assert b"serving" in server.stdout.readline()
        check(port)
        server.terminate()
        assert server.wait(10) == 0
    finally:
        server.kill()


if __name__ == "__main__":
    main()
