"""The web guest that several benches ask, and an HTTP client whose requests go out at once."""

import http.client
import socket

import qemu
import skep

MIB = 1 << 20
ADDRESS = "10.0.2.20"


def spec(address=ADDRESS, gateway=qemu.GATEWAY, memory_bytes=4 * MIB):
    networks = [{"address": f"{address}/24", "gateway": gateway}]
    return {"image": "httpd", "memory_bytes": memory_bytes, "networks": networks, "desired_state": "running"}


def create(api, *where, **more):
    """Uploads it and has it run: what spec() takes."""
    api.upload("httpd", skep.BUILD / "examples/httpd.elf")
    api.create("web", **spec(*where, **more))


def connect(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def get(connection):
    connection.request("GET", "/")
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200 and body, response.status
