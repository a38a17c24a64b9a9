"""What the server's TLS takes and what it doesn't: protocols, suites, groups, extensions, downgrades. Clients are openssl,
Python's ssl, a scanner, and hellos made by hand where these won't do wrong."""

import socket
import ssl
import struct
import subprocess
import xml.etree.ElementTree

import pytest

import native
from authority import Authority, Key
from slow import any_certificate

SUITES = {
    "ECDSA": {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    "RSA": {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"},
}
ALERT, HANDSHAKE = 21, 22
PROTOCOL_VERSION = 70
DOWNGRADE_TO_1_2 = b"DOWNGRD\x01"  # RFC 8446, 4.1.3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with native.Native(tmp_path_factory.mktemp("native")) as service:
        service.wait_ready()
        yield service
        service.check_alive()


#
# Hellos made by hand
#


def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def hello(version=0x0303, compression=b"\0", more=b""):
    """A ClientHello of TLS 1.2 or before, in its record."""
    groups = extension(10, struct.pack(">HHH", 4, 29, 23))
    signatures = extension(13, struct.pack(">HHHH", 6, 0x0403, 0x0804, 0x0401))
    extensions = groups + signatures + extension(11, b"\1\0") + more
    suites = struct.pack(">HHHHH", 8, 0xC02B, 0xC02F, 0xC009, 0x002F)
    body = struct.pack(">H", version) + bytes(32) + b"\0" + suites
    body += bytes([len(compression)]) + compression + struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", HANDSHAKE, 0x0301, len(message)) + message


def first_record(server, request):
    """Kind and content of the first record that a hello is answered with."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        plain.sendall(request)
        stream = plain.makefile("rb")
        kind, _, size = struct.unpack(">BHH", stream.read(5))
        return kind, stream.read(size)


def test_hello_by_hand(server):
    """The hello as such is taken; so what makes another one fail is what it differs in."""
    kind, content = first_record(server, hello())
    assert kind == HANDSHAKE and content[0] == 2 and content[4:6] == b"\3\3"


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
def test_older_protocols_are_refused(server, version):
    kind, content = first_record(server, hello(version))
    assert (kind, content) == (ALERT, bytes([2, PROTOCOL_VERSION]))


def test_no_compression(server):
    kind, content = first_record(server, hello(compression=b"\1\0"))
    session_bytes = content[38]
    assert kind == HANDSHAKE and content[39 + session_bytes + 2] == 0


def test_a_downgrade_is_told(server):
    """Who can do 1.3 and is talked out of it sees it in the server's random, which is signed."""
    _, content = first_record(server, hello())
    assert content[6 : 6 + 32].endswith(DOWNGRADE_TO_1_2)


@pytest.mark.parametrize("name", [b"skep", b"other.example", b"x" * 255])
def test_any_server_name_will_do(server, name):
    """There is one certificate for all names."""
    entry = b"\0" + struct.pack(">H", len(name)) + name
    kind, content = first_record(server, hello(more=extension(0, struct.pack(">H", len(entry)) + entry)))
    assert kind == HANDSHAKE and content[0] == 2


def test_junk_is_refused(server):
    for junk in (b"\x16\3\1\0\0", b"\x16\3\1\xff\xff" + b"x" * 65535, b"\x80\x2e\1\0\2" + bytes(60), bytes(600)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            try:
                plain.sendall(junk)
                plain.shutdown(socket.SHUT_WR)
                while data := plain.recv(4096):
                    assert data[0] == ALERT
            except OSError:
                pass  # it needn't be polite: the connection may be gone before all is sent


#
# Ordinary clients
#


def accepted(server, context, **options):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain, **options) as connection:
                return connection.cipher()[0]
        except (ssl.SSLError, ConnectionError):
            return None


def suites_of_1_2(server):
    context = any_certificate()
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert len(names) > 60, names
    found = set()
    for name in names:
        one = any_certificate()
        one.maximum_version = ssl.TLSVersion.TLSv1_2
        one.set_ciphers(f"{name}:@SECLEVEL=0")
        found |= {accepted(server, one)} - {None}
    return found


def test_suites_with_an_ecdsa_key(server):
    """Forward secrecy and authenticated encryption, and nothing else."""
    assert suites_of_1_2(server) == SUITES["ECDSA"]


def test_suites_with_an_rsa_key(start, tmp_path):
    service = start()
    authority, key = Authority(tmp_path / "authority"), Key(tmp_path / "server", "rsa2048")
    body = {"certificate": authority.sign(key, "skep.example"), "key": key.pem()}
    service.api.ok("PUT", "/v1/host/certificate", json=body)
    assert suites_of_1_2(service) == SUITES["RSA"]


def s_client(server, *words, text=""):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


GROUPS = {"X25519": "X25519", "P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1"}


@pytest.mark.parametrize("group", [*GROUPS, "P-521", "X448", "ffdhe2048"])
def test_groups_of_1_3(server, group):
    code, text = s_client(server, "-tls1_3", "-groups", group)
    assert (code == 0) == (group in GROUPS), text
    assert code != 0 or f"Server Temp Key: {GROUPS[group]}" in text, text


@pytest.mark.parametrize("group", [*GROUPS, "P-521", "X448"])
def test_groups_of_1_2(server, group):
    """The certificate's own curve is always among a client's groups."""
    groups = group if group == "P-256" else f"{group}:P-256"
    code, text = s_client(server, "-tls1_2", "-groups", groups)
    allowed = {GROUPS["P-256"], GROUPS.get(group, GROUPS["P-256"])}
    assert code == 0 and any(f"Server Temp Key: {name}" in text for name in allowed), text


def test_no_renegotiation(server):
    code, text = s_client(server, "-tls1_2", text="R\n")
    assert "RENEGOTIATING" in text and code != 0 and "no renegotiation" in text, text


def alpn(server, *protocols):
    context = any_certificate()
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        with context.wrap_socket(plain) as connection:
            return connection.selected_alpn_protocol()


def test_alpn(server):
    assert alpn(server) is None
    assert alpn(server, "http/1.1") == "http/1.1"
    assert alpn(server, "h2", "http/1.1") == "http/1.1"
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        alpn(server, "h2")


def test_no_early_data(server):
    """What can be replayed is never taken."""
    _, text = s_client(server, "-tls1_3")
    assert "Max Early Data: 0" in text or "Max Early Data" not in text


#
# A scanner, which looks for all that it knows
#


@pytest.fixture(scope="module")
def scan(server):
    """What sslscan found: elements by their names."""
    target = f"127.0.0.1:{server.port}"
    done = subprocess.run(["sslscan", "--show-sigs", "--xml=-", target], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return xml.etree.ElementTree.fromstring(done.stdout).find("ssltest")


def test_scanned_protocols(scan):
    found = {(one.get("type"), one.get("version")): one.get("enabled") for one in scan.iter("protocol")}
    assert len(found) == 6
    assert {name for name, enabled in found.items() if enabled != "0"} == {("tls", "1.2"), ("tls", "1.3")}


def test_scanned_suites(scan):
    suites = {version: set() for version in ("TLSv1.2", "TLSv1.3")}
    for one in scan.iter("cipher"):
        suites[one.get("sslversion")].add(one.get("cipher"))
        assert one.get("strength") in ("strong", "acceptable") and int(one.get("bits")) >= 128, one.attrib
    assert suites["TLSv1.2"] == SUITES["ECDSA"]
    assert suites["TLSv1.3"] == {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


def test_scanned_groups(scan):
    """With 1.2 a curve is found only if the certificate's own is among what is offered with it."""
    groups = {version: set() for version in ("TLSv1.2", "TLSv1.3")}
    for one in scan.iter("group"):
        groups[one.get("sslversion")].add(one.get("name").split()[0])
    assert groups["TLSv1.3"] == {"x25519", "secp256r1", "secp384r1"}
    assert groups["TLSv1.2"] and groups["TLSv1.2"] <= groups["TLSv1.3"]


def test_scanned_weaknesses(scan):
    assert scan.find("renegotiation").attrib == {"supported": "0", "secure": "0"}
    heartbleed = {one.get("sslversion"): one.get("vulnerable") for one in scan.iter("heartbleed")}
    assert heartbleed == {"TLSv1.2": "0", "TLSv1.3": "0"}
    key = scan.find("certificates/certificate/pk")
    assert (key.get("type"), key.get("curve_name"), key.get("error")) == ("EC", "prime256v1", "false")
    assert scan.find("certificates/certificate/signature-algorithm").text == "ecdsa-with-SHA256"
