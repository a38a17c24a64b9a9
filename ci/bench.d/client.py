"""A client of the API whose requests are cut up the same way each time."""

import http.client
import json
import socket
import ssl


class OneRecordClient:
    """An API client on one connection that sends each request in one piece: how a request is cut up, and into how
    many wake-ups that turns, must not depend on the client's library."""

    def __init__(self, api):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", api.port), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = context.wrap_socket(plain)
        self.token = api.headers["Authorization"]

    def put(self, path, spec):
        body = json.dumps(spec)
        head = (
            f"PUT {path} HTTP/1.1",
            "Host: skep",
            f"Authorization: {self.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        self.connection.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    def answer(self):
        response = http.client.HTTPResponse(self.connection)
        response.begin()
        assert response.status == 201, response.read()
        response.read()
