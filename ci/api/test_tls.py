"""The server's TLS with ordinary clients: openssl and Python's ssl."""

import http.client
import socket
import ssl

import pytest

from slow import any_certificate

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def client_context(version=None):
    context = any_certificate()
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


@pytest.fixture
def service(start):
    return start()


class Connection:
    """One connection, with a session of a former one to resume, or without."""

    def __init__(self, service, context, session=None):
        plain = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        self.tls = context.wrap_socket(plain, session=session)

    def get(self, path="/healthz", token=None, **fields):
        """The status, once the whole answer has come: by then so has the ticket."""
        head = f"GET {path} HTTP/1.1\r\nHost: skep\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.tls.sendall(head.encode() + b"\r\n")
        answer = http.client.HTTPResponse(self.tls)
        answer.begin()
        answer.read()
        return answer.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()


def full_session(service, context):
    with Connection(service, context) as first:
        assert first.get() == 200 and not first.tls.session_reused
        assert first.tls.session.has_ticket and 0 < first.tls.session.ticket_lifetime_hint <= 3600
        return first.tls.session


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed(service, version):
    context = client_context(version)
    session = full_session(service, context)
    for _ in range(3):
        with Connection(service, context, session) as again:
            assert again.get() == 200 and again.tls.session_reused
            session = again.tls.session


@pytest.mark.parametrize("version", VERSIONS)
def test_another_certificate_isn_t_resumed_to(service, version):
    """Else a client would go on without having seen it."""
    context = client_context(version)
    session = full_session(service, context)
    service.api.ok("POST", "/v1/host/certificate/renew")
    with Connection(service, context, session) as again:
        assert again.get() == 200 and not again.tls.session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_other_servers_tickets_are_left_aside(start, version):
    """Another service's keys don't open it: a full handshake, and no error."""
    one, other = start(), start()
    context = client_context(version)
    session = full_session(one, context)
    with Connection(other, context, session) as again:
        assert again.get() == 200 and not again.tls.session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_needs_the_token(service, version):
    """What a connection was allowed isn't in its ticket."""
    context = client_context(version)
    with Connection(service, context) as first:
        assert first.get("/v1/host", token=service.token) == 200
        session = first.tls.session
    with Connection(service, context, session) as again:
        assert again.tls.session_reused and again.get("/v1/host") == 401
