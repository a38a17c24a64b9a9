"""Clients that show a certificate: whose it is, what it may do, and when that ends."""

import datetime
import math
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from authority import openssl, self_signed
from slow import any_certificate
from test_tls import VERSIONS, Connection

PATH = "/v1/client-certificates"


class Client:
    """A key and a certificate that it has signed itself."""

    def __init__(self, folder, name, kind="prime256v1"):
        self.key, self.file = self_signed(folder, name, kind)
        self.pem = self.file.read_text()

    def context(self, version=None):
        context = any_certificate()
        if version:
            context.minimum_version = context.maximum_version = VERSIONS[version]
        context.load_cert_chain(self.file, self.key.path)
        return context


@pytest.fixture
def service(start):
    return start()


@pytest.fixture
def client(tmp_path):
    return Client(tmp_path, "robot")


def allow(service, client, name="robot", **more):
    return service.api.ok("PUT", f"{PATH}/{name}", json={"role": "viewer", "certificate": client.pem, **more})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["prime256v1", "secp384r1", "rsa2048"])
def test_a_certificate_is_as_good_as_a_token(service, tmp_path, version, kind):
    client = Client(tmp_path, "robot", kind)
    seen = allow(service, client)
    assert seen["role"] == "viewer" and seen["last_used_at"] is None
    shown = openssl("x509", "-in", client.file, "-noout", "-fingerprint", "-sha256").strip()
    assert shown.rpartition("=")[2] == seen["fingerprint"]
    with Connection(service, client.context(version)) as connection:
        assert connection.get("/v1/guests") == 200
        assert connection.get("/v1/tokens") == 403  # a viewer's no
    assert service.api.ok("GET", f"{PATH}/robot")["last_used_at"]


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_and_no_certificate_are_the_same(service, client, tmp_path, version):
    allow(service, client)
    for context in (Client(tmp_path, "stranger").context(version), any_certificate()):
        with Connection(service, context) as connection:
            assert connection.get("/healthz") == 200
            assert connection.get("/v1/guests") == 401
            assert connection.get("/v1/guests", token=service.token) == 200


def test_a_copy_of_the_certificate_is_not_enough(service, client, tmp_path):
    """Who shows it must have its key."""
    allow(service, client)
    thief = Client(tmp_path, "thief")
    context = any_certificate()
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(client.file, thief.key.path)
    # The same name and another key is another certificate.
    twin = Client(tmp_path / "twin", "robot")
    with Connection(service, twin.context()) as connection:
        assert connection.get("/v1/guests") == 401


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_behind_a_certificate_is_not_looked_at(service, client, version):
    """Nobody is trusted to have signed it, so no signature of a chain is checked, nor is a long chain anything wrong."""
    allow(service, client)
    client.file.write_text(client.pem * 12)
    with Connection(service, client.context(version)) as connection:
        assert connection.get("/v1/guests") == 200


def long_exponent(file):
    """Writes a key of RSA whose public exponent is as long as its modulus: its owner signs at no cost, and each look at a
    signature costs as much as two hundred with an ordinary key. In front of it stands a certificate of its own."""
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=4096).private_numbers()
    p, q, d = numbers.p, numbers.q, 65537
    while math.gcd(d, (p - 1) * (q - 1)) != 1:
        d += 2
    public = rsa.RSAPublicNumbers(pow(d, -1, (p - 1) * (q - 1)), p * q)
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public).private_key()
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "costly")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    form = serialization.PrivateFormat.TraditionalOpenSSL
    file.write_bytes(certificate + key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_that_costs_is_refused(service, tmp_path, version):
    file, context = tmp_path / "costly.pem", any_certificate()
    long_exponent(file)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    context.load_cert_chain(file)
    with pytest.raises((ssl.SSLError, ConnectionError)), Connection(service, context) as connection:
        connection.get("/healthz")
    with Connection(service, any_certificate()) as connection:
        assert connection.get("/healthz") == 200


def test_changes_hold_for_open_connections(service, client):
    allow(service, client)
    with Connection(service, client.context()) as connection:
        assert connection.get("/v1/tokens") == 403
        service.api.ok("PUT", f"{PATH}/robot", json={"role": "admin"})
        assert connection.get("/v1/tokens") == 200
        service.api.ok("DELETE", f"{PATH}/robot", status=204)
        assert connection.get("/v1/guests") == 401
        assert connection.get("/healthz") == 200
    assert service.api.get(f"{PATH}/robot").status_code == 404


def test_another_site_can_not_use_it(service, client):
    """A browser shows the certificate whichever page asks; it also says which one that is."""
    allow(service, client)
    with Connection(service, client.context()) as connection:
        assert connection.get("/v1/guests", Origin="https://skep", Sec_Fetch_Site="same-origin") == 200
        assert connection.get("/v1/guests", Sec_Fetch_Site="none") == 200  # typed in
        for fields in (
            {"Origin": "https://elsewhere.example"}, {"Origin": "http://skep"}, {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
        ):  # fmt: skip
            assert connection.get("/v1/guests", **fields) == 401, fields
        assert connection.get("/v1/guests", token=service.token, Origin="https://elsewhere.example") == 200


def test_a_token_that_is_shown_counts(service, client):
    """Right or wrong: the certificate doesn't stand in for it."""
    allow(service, client)
    with Connection(service, client.context()) as connection:
        assert connection.get("/v1/tokens", token=service.token) == 200
        assert connection.get("/v1/guests", token="wrong-token-wrong") == 401
        assert connection.get("/v1/guests") == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption_neither_loses_nor_lends_a_certificate(service, client, version):
    """Its sessions aren't resumed, so it is shown anew; and a session without one stays without."""
    allow(service, client)
    context = client.context(version)
    with Connection(service, context) as first:
        assert first.get("/v1/guests") == 200
        session = first.tls.session
    with Connection(service, context, session) as again:
        assert again.get("/v1/guests") == 200 and not again.tls.session_reused
    plain = any_certificate()
    plain.minimum_version = plain.maximum_version = VERSIONS[version]
    with Connection(service, plain) as nobody:
        assert nobody.get("/v1/guests") == 401
        session = nobody.tls.session
    with Connection(service, plain, session) as again:
        assert again.tls.session_reused and again.get("/v1/guests") == 401


def test_what_is_refused(service, client, tmp_path):
    allow(service, client)
    service.api.ok("PUT", "/v1/tokens/bot", json={"role": "viewer"})
    other = Client(tmp_path, "other")
    for name, body, status, why in (
        ("new", {"role": "viewer"}, 422, "certificate is missing"),
        ("new", {"certificate": other.pem}, 422, "role is missing"),
        ("new", {"role": "viewer", "certificate": "x"}, 422, "must be PEM"),
        ("new", {"role": "viewer", "certificate": 1}, 422, "must be PEM"),
        ("new", {"role": "viewer", "certificate": Client(tmp_path, "big", "secp521r1").pem}, 422, "must be PEM"),
        ("new", {"role": "viewer", "certificate": client.pem}, 409, "'robot' already"),
        ("bot", {"role": "viewer", "certificate": other.pem}, 409, "the name of a token"),
        ("admin", {"role": "viewer", "certificate": other.pem}, 409, "boot"),
        ("new", {"role": "viewer", "certificate": other.pem, "key": "x"}, 422, "no known field"),
    ):
        answer = service.api.put(f"{PATH}/{name}", json=body)
        assert answer.status_code == status and why in answer.json()["detail"], answer.text
    assert service.api.put("/v1/tokens/robot", json={"role": "viewer"}).status_code == 409
    assert service.api.delete("/v1/tokens/robot").status_code == 404
    assert [item["name"] for item in service.api.ok("GET", PATH)["items"]] == ["robot"]
    assert [item["name"] for item in service.api.ok("GET", "/v1/tokens")["items"]] == ["bot"]


def test_kept_over_reboots(start, client):
    service = start(disk_bytes=8 << 20)
    allow(service, client, scope={"prefix": "ci-"})
    before = service.api.ok("GET", f"{PATH}/robot")
    service.api.ok("POST", "/v1/host/reboot")
    service.wait_ready(starts=2)
    assert service.api.ok("GET", f"{PATH}/robot") == before
    with Connection(service, client.context()) as connection:
        assert connection.get("/v1/guests") == 200


def test_broken_handshakes_leave_nothing(service):
    """A client that ends amid its certificate's handshake."""
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain:
            plain.sendall(b"\x16\3\1\0\x05\1\0\0\1\0")
    assert service.api.ok("GET", "/v1/host")
