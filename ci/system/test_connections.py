"""Connections that end in every way that a client can end them: the service loses nothing by it."""

import http.client
import os
import random
import socket
import ssl
import struct
import threading

import pytest

CLIENTS, EACH = 8, 40


def leave(connection, generator):
    """Closes, one time in two with a reset."""
    if generator.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def speak(machine, context, kind, generator):
    connection = socket.create_connection(("127.0.0.1", machine.api_port), timeout=10)
    if kind == "noise":
        connection.sendall(os.urandom(generator.randrange(1, 200)))
    elif kind == "half":
        connection.shutdown(socket.SHUT_WR)
    elif kind in ("request", "body"):
        connection = context.wrap_socket(connection)
        body = os.urandom(generator.randrange(1, 60000)) if kind == "body" else b""
        head = f"PUT /v1/images/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {machine.token}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 300000\r\n\r\n" + body)
    leave(connection, generator)


@pytest.mark.parametrize("kinds", [["noise", "half"], ["request", "body", "half", "noise"]])
def test_abandoned_connections(machine, api, kinds):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def client(seed):
        generator = random.Random(seed)
        for _ in range(EACH):
            try:
                speak(machine, context, generator.choice(kinds), generator)
            except OSError:
                pass  # the service may end it first

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert api.host()["control_restarts"] == 0


def test_lists_leave_the_connection_open(machine, api):
    """Their replies are chunked, and the last chunk must be there in full: else the next request finds nobody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", machine.api_port, context=context, timeout=30)
    for _ in range(3):
        connection.request("GET", "/v1/guests", headers={"Authorization": api.headers["Authorization"]})
        reply = connection.getresponse()
        assert reply.status == 200 and reply.read().startswith(b'{"items":')
    connection.close()
