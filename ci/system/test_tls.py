"""TLS of the API on a booted machine: its certificate, resumed sessions, and slow clients."""

import hashlib
import http.client
import socket
import ssl

import pytest
import requests

from authority import Authority, Key, openssl
from conftest import boot
from helpers import CONTROL_GROWTH, frames, wait_frames
from skep import Api
from slow import Attack, any_certificate

CERTIFICATE = "/v1/host/certificate"


@pytest.fixture(scope="module")
def machine(folder):
    """A machine of its own: its certificate changes, and all of its connections are in use for the first time: stacks and heap
    reach parts of the address space that had no page tables."""
    yield from boot(folder, "test_tls", growth=CONTROL_GROWTH | {"guest": 640, "pagetable": 8})


def connect(machine, context, session=None):
    """A connection that has been answered once, so that its handshake is over; the caller closes it."""
    plain = socket.create_connection(("127.0.0.1", machine.api_port), timeout=30)
    connection = context.wrap_socket(plain, session=session)
    ask(connection)
    return connection


def ask(connection, path="/healthz", status=200):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: skep\r\n\r\n".encode())
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    assert answer.status == status


def pin(machine):
    """The certificate has changed, and the machine's API goes on with the new one."""
    machine.api = Api(machine.api_port, machine.token)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(machine, api, version):
    context = any_certificate()
    context.minimum_version = context.maximum_version = version
    with connect(machine, context) as first:
        assert not first.session_reused
        session = first.session
    with connect(machine, context, session) as again:
        assert again.session_reused


def test_an_installed_certificate(machine, api, tmp_path):
    """Signed by an authority for a key that never left the machine; a connection of before goes on meanwhile."""
    authority = Authority(tmp_path / "authority")
    with connect(machine, any_certificate()) as before:
        request = api.ok("POST", CERTIFICATE + "/request", json={"names": ["skep.example"], "key": "new"})["request"]
        chain = authority.sign_request(request, "skep.example")
        assert api.ok("PUT", CERTIFICATE, json={"certificate": chain})["origin"] == "installed"
        ask(before)
    for version in ("1.2", "1.3"):
        authority.check_served(machine.api_port, "skep.example", version)
    installed = Api.presented_certificate(machine.api_port)
    with pytest.raises(requests.exceptions.SSLError):
        Api(machine.api_port, machine.token, fingerprint=api.fingerprint).host()
    pin(machine)
    machine.api.ok("POST", CERTIFICATE + "/renew")
    renewed = Api.presented_fingerprint(machine.api_port)
    assert renewed not in (api.fingerprint, hashlib.sha256(installed).hexdigest())
    pin(machine)


def test_a_client_s_certificate(machine, api, tmp_path):
    """It is as good as a token, until it is taken out: then the next request of the open connection is refused."""
    key, file = Key(tmp_path / "robot", "prime256v1"), tmp_path / "robot.pem"
    openssl("req", "-x509", "-new", "-key", key.path, "-subj", "/CN=robot", "-out", file)
    api.ok("PUT", "/v1/client-certificates/robot", json={"role": "viewer", "certificate": file.read_text()})
    context = any_certificate()
    context.load_cert_chain(file, key.path)
    with connect(machine, context) as connection:
        ask(connection, "/v1/tokens", 403)
        ask(connection, "/v1/host", 200)
        api.ok("DELETE", "/v1/client-certificates/robot")
        ask(connection, "/v1/host", 401)
    with connect(machine, any_certificate()) as connection:
        ask(connection, "/v1/host", 401)


def attack(machine):
    """What test_slow_clients.py has, too."""
    with Attack(machine.api_port, 200) as clients:
        clients.wait_open()
        clients.check()


def test_slow_clients_leave_nothing(machine, api):
    """The first time all connections are used for the first time."""
    attack(machine)
    before = frames(machine.api)
    attack(machine)
    wait_frames(machine.api, before, {"guest": 64, "pagetable": 2})
