"""mosquitto as a guest (examples/ports/mosquitto): ordinary clients, by TLS or not, 500 at once, and what it keeps on a
volume."""

import base64
import contextlib
import hashlib
import ssl
import subprocess

import ports
import pytest
import skep
from authority import Authority, Key
from helpers import MIB
from ports import Connection, machine_with

BROKER, KEEPER, PLAIN = "10.0.2.20:1883", "10.0.2.21:1883", "10.0.2.23:1883"
SECURE, SECURE_KEEPER = "10.0.2.20:8883", "10.0.2.21:8883"
PERSONAL, NAMED, SHARED = "10.0.2.20:8884", "10.0.2.22:8883", "10.0.2.20:8885"
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


def text(word):
    return len(word).to_bytes(2, "big") + word.encode()


class Client(Connection):
    """Speaks MQTT 3.1.1 with quality of service 1."""

    def __init__(self, port, name, clean=True, seconds=60, tls=None):
        super().__init__(port, seconds, tls)
        self.packet = 0
        self.send(CONNECT, text("MQTT") + bytes([4, 2 if clean else 0, 0, 0]) + text(name))
        flags, code = self.expect(CONNACK)
        assert code == 0
        self.session_was_kept = bool(flags)

    def send(self, kind, body=b"", flags=0):
        assert len(body) < 128 * 128
        length = [len(body)] if len(body) < 128 else [len(body) % 128 | 128, len(body) // 128]
        self.socket.sendall(bytes([kind << 4 | flags, *length]) + body)

    def receive(self):
        """A packet's kind, flags and body."""
        first = self.file.read(1)
        if not first:
            raise ConnectionError("the broker closed the connection")
        length = shift = 0
        while True:
            byte = self.file.read(1)[0]
            length, shift = length | (byte & 127) << shift, shift + 7
            if byte < 128:
                return first[0] >> 4, first[0] & 15, self.file.read(length)

    def expect(self, kind):
        found, _, body = self.receive()
        assert found == kind, (found, body)
        return body

    def subscribe(self, topic):
        self.packet += 1
        self.send(SUBSCRIBE, self.packet.to_bytes(2, "big") + text(topic) + b"\1", 2)
        assert self.expect(SUBACK) == self.packet.to_bytes(2, "big") + b"\1"

    def send_publish(self, topic, message, retain=False):
        self.packet += 1
        self.send(PUBLISH, text(topic) + self.packet.to_bytes(2, "big") + message.encode(), 2 | retain)

    def publish(self, topic, message, retain=False):
        self.send_publish(topic, message, retain)
        assert self.expect(PUBACK) == self.packet.to_bytes(2, "big")

    def message(self):
        """The next message's topic and text; it is acknowledged. Acknowledgements of our own may come before it."""
        kind, flags, body = self.receive()
        while kind == PUBACK:
            kind, flags, body = self.receive()
        assert kind == PUBLISH and flags & 6 == 2, (kind, flags, body)
        length = int.from_bytes(body[:2], "big")
        self.send(PUBACK, body[2 + length : 4 + length])
        return body[2 : 2 + length].decode(), body[4 + length :].decode()

    def ping(self):
        self.send(PINGREQ)
        self.expect(PINGRESP)


def wait_broker(port, tls=None):
    """Until it answers. QEMU takes connections before that, closes them again, or lets them hang."""

    def there():
        with contextlib.suppress(OSError):
            Client(port, "first", seconds=2, tls=tls).close()
            return True

    skep.wait_for(there, "mosquitto answers")


def create(machine, name, destination, *args, tls=None, **spec):
    """The port at which this broker is reached."""
    ports.create(machine.api, name, "mosquitto", destination, "-c", *args, **spec)
    wait_broker(machine.ports[destination], tls)
    return machine.ports[destination]


class Identity:
    """A key and a certificate by an authority, in files."""

    def __init__(self, folder, authority, name, usage):
        key = Key(folder / name, "prime256v1")
        self.key, self.certificate = key.path, folder / f"{name}.pem"
        self.certificate.write_text(authority.sign(key, name, usage))
        self.options = ["--cert", self.certificate, "--key", self.key]


class Trust:
    """An authority and another one, the broker's certificate, and clients'."""

    def __init__(self, folder):
        authority, self.other = Authority(folder / "authority"), Authority(folder / "other")
        server = Identity(folder, authority, "localhost", "serverAuth")
        self.ada, self.ben = (Identity(folder, authority, name, "clientAuth") for name in ("ada", "ben"))
        self.wrong = {
            "unknown ca": Identity(folder, self.other, "stranger", "clientAuth"),
            "unsupported certificate": Identity(folder, authority, "server", "serverAuth"),
            "certificate required": None,
        }
        self.root, self.options = authority.root, ["--cafile", authority.root]
        self.context = ssl.create_default_context(cafile=self.root)
        self.files = [
            {"path": "/tls/server.pem", "content": server.certificate.read_text()},
            {"path": "/tls/server.key", "content": server.key.read_text()},
            {"path": "/tls/authority.pem", "content": self.root.read_text()},
        ]


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def machine(folder, trust, tmp_path_factory):
    """After the certificates: its clock counts whole seconds, and one that was made later isn't valid yet at first."""
    forwards = [BROKER, KEEPER, PLAIN, SECURE, SECURE_KEEPER, PERSONAL, NAMED, SHARED]
    with machine_with("mosquitto", folder, tmp_path_factory.mktemp("mosquitto"), 64 * MIB, forwards) as machine:
        yield machine


LISTENERS = """
user root
log_dest stdout
per_listener_settings true

listener 1883
allow_anonymous true

listener 8883
allow_anonymous true
certfile /tls/server.pem
keyfile /tls/server.key

# The name in a client's certificate says what is its own.
listener 8884
certfile /tls/server.pem
keyfile /tls/server.key
cafile /tls/authority.pem
require_certificate true
use_identity_as_username true
acl_file /acl

listener 8885
psk_hint shared
psk_file /keys
use_identity_as_username true
"""


@pytest.fixture(scope="module")
def port(machine, trust):
    files = [
        {"path": "/listeners.conf", "content": LISTENERS},
        {"path": "/acl", "content": "pattern readwrite own/%u/#\n"},
        {"path": "/keys", "content": "meter:0123456789abcdef\n"},
    ]
    return create(machine, "broker", BROKER, "/listeners.conf", files=trust.files + files)


def call(name, port, *args):
    """What one of mosquitto's clients returns and says."""
    words = [name, "-h", "localhost", "-p", str(port), *map(str, args)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def tool(name, port, *args):
    code, said = call(name, port, *args)
    assert code == 0, said
    return said


def use_all_versions(port, *options):
    for version in ("mqttv311", "mqttv5"):
        for quality in "012":
            message = f"{version}, {quality}"
            common = [*options, "-V", version, "-q", quality, "-t", f"kept/{quality}"]
            tool("mosquitto_pub", port, *common, "-r", "-m", message)
            assert tool("mosquitto_sub", port, *common, "-v", "-C", "1") == f"kept/{quality} {message}\n"
    assert sorted(tool("mosquitto_sub", port, *options, "-C", "3", "-t", "kept/#").splitlines()) == [
        f"mqttv5, {quality}" for quality in "012"
    ]
    assert tool("mosquitto_rr", port, *options, "-V", "5", "-t", "echo", "-e", "echo", "-m", "itself") == "itself\n"


def test_ordinary_clients(machine, api):
    use_all_versions(create(machine, "plain", PLAIN, "/mosquitto.conf"))


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_ordinary_clients_by_tls(machine, port, trust, version):
    use_all_versions(machine.ports[SECURE], *trust.options, "--tls-version", version)


def test_clients_tell_a_broker_by_its_certificate(machine, port, trust):
    publish = "mosquitto_pub", machine.ports[SECURE], "-q", "1", "-t", "told", "-m", "it"
    for wrong in (["--cafile", trust.other.root], [*trust.options, "-h", "127.0.0.1"]):  # which it doesn't name
        code, said = call(*publish, *wrong)
        assert code != 0 and "A TLS error occurred" in said, (code, said)
    assert call(*publish, *trust.options) == (0, "")


def test_a_broker_tells_clients_by_their_certificates(machine, port, trust):
    port = machine.ports[PERSONAL]
    for one in (trust.ada, trust.ben):
        tool("mosquitto_pub", port, *trust.options, *one.options, "-q", "1", "-r", "-t", "own/ada/x", "-m", one.key.name)
    said = tool("mosquitto_sub", port, *trust.options, *trust.ada.options, "-C", "1", "-v", "-t", "own/#")
    assert said == "own/ada/x ada.key\n"  # and not ben's, which came later
    for why, identity in trust.wrong.items():
        context = ssl.create_default_context(cafile=trust.root)
        if identity:
            context.load_cert_chain(identity.certificate, identity.key)
        # By TLS 1.3 a client learns that it is refused with its first answer.
        with pytest.raises(OSError, match=why.upper().replace(" ", "_") + "|" + why), Client(port, "stranger", tls=context):
            pass


def test_a_shared_key(machine, port):
    port = machine.ports[SHARED]
    meter = ["--psk-identity", "meter", "-t", "read", "-q", "1"]
    tool("mosquitto_pub", port, *meter, "--psk", "0123456789abcdef", "-r", "-m", "7")
    assert tool("mosquitto_sub", port, *meter, "--psk", "0123456789abcdef", "-C", "1") == "7\n"
    assert call("mosquitto_pub", port, *meter, "--psk", "0123456789abcdee", "-m", "8")[0] != 0


def hashed(password):
    """As mosquitto_passwd does it."""
    salt, rounds = b"salt" * 3, 101
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def test_passwords(machine, api, trust):
    files = [*trust.files, {"path": "/tls/passwords", "content": f"ada:{hashed('engine')}\n"}]
    ports.create(api, "named", "mosquitto", NAMED, "-c", "/tls.conf", files=files)
    port = machine.ports[NAMED]
    ada = [*trust.options, "-q", "1", "-t", "note", "-u", "ada"]

    def there():
        return call("mosquitto_pub", port, *ada, "-P", "engine", "-r", "-m", "G")[0] == 0

    skep.wait_for(there, "mosquitto takes ada's password")
    assert tool("mosquitto_sub", port, *ada, "-P", "engine", "-C", "1") == "G\n"
    for who in ([*ada, "-P", "motor"], [*trust.options, "-q", "1", "-t", "note"]):
        code, said = call("mosquitto_pub", port, *who, "-m", "H")
        assert code == 5 and "not authorised" in said, (code, said)


def test_what_is_not_tls_is_refused(machine, port, trust):
    """And the next client is served."""
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 5000, b"\x10\x0c\0\4MQTT\4\2\0\0\0\0"):
        with Connection(machine.ports[SECURE]) as connection, contextlib.suppress(ConnectionError):
            connection.socket.sendall(garbage)
            while connection.socket.recv(4096):  # an alert, before the end
                pass
        Client(machine.ports[SECURE], "next", tls=trust.context).close()


def test_500_clients(machine, port, trust):
    """A fifth of them by TLS."""
    ways = [(machine.ports[SECURE], trust.context)] + 4 * [(port, None)]
    with contextlib.ExitStack() as stack:
        # One after the other: QEMU's user networking has room for one that it hasn't taken yet.
        clients = []
        for i in range(500):
            way, tls = ways[i % 5]
            clients.append(stack.enter_context(Client(way, f"client{i}", tls=tls)))
        for i, client in enumerate(clients):
            client.subscribe(f"to/{i}")
            client.subscribe("to/all")
        clients[0].send_publish("to/all", "x" * 5000)
        for client in clients:
            assert client.message() == ("to/all", "x" * 5000)
        for i, client in enumerate(clients):
            client.send_publish(f"to/{(i + 1) % 500}", f"from {i}")
        for i, client in enumerate(clients):
            assert client.message() == (f"to/{i}", f"from {(i - 1) % 500}")


@pytest.fixture(params=["plain", "tls"])
def start_keeper(request, machine, trust):
    """Starts a broker that keeps what it has on the volume `kept`; what its clients connect by."""
    spec = {"volumes": [{"name": "kept", "mount": "/data", "format": True}]}
    destination, conf, tls = KEEPER, "/persistence.conf", None
    if request.param == "tls":
        packed = (skep.ROOT / "examples/ports/mosquitto/files/persistence.conf").read_text()
        secure = packed.replace("1883", "8883\ncertfile /tls/server.pem\nkeyfile /tls/server.key")
        spec["files"] = [*trust.files, {"path": "/secure.conf", "content": secure}]
        destination, conf, tls = SECURE_KEEPER, "/secure.conf", trust.context

    def start():
        return {"port": create(machine, "keeper", destination, conf, tls=tls, **spec), "tls": tls}

    return start


def test_what_is_kept_outlives_a_kill_and_a_stop(api, start_keeper):
    api.ok("PUT", "/v1/volumes/kept", json={"size_bytes": 16 * MIB})
    where = start_keeper()
    with Client(name="sleeper", clean=False, **where) as sleeper:
        assert not sleeper.session_was_kept
        sleeper.subscribe("news")
    with Client(name="writer", **where) as writer:
        # It saves what has changed before it looks for the next packet. A save renames a file, which is durable from the
        # next save's fsync() on, or five seconds later: the last one may be lost.
        for topic, message in (("state", "on"), ("news", "one"), ("news", "two"), ("other", "last")):
            writer.publish(topic, message, retain=topic != "news")
            writer.ping()
    api.delete_guest("keeper")
    where = start_keeper()
    with Client(name="sleeper", clean=False, **where) as sleeper:
        assert sleeper.session_was_kept
        assert [sleeper.message(), sleeper.message()] == [("news", "one"), ("news", "two")]
        sleeper.subscribe("state")
        assert sleeper.message() == ("state", "on")
    with Client(name="writer", **where) as writer:
        writer.publish("news", "three")
    api.ok("PATCH", "/v1/guests/keeper", json={"desired_state": "stopped"})
    status = api.wait_state("keeper", "exited", "killed", "crashed")
    assert (status["state"], status["exit_code"]) == ("exited", 0), api.log("keeper").decode()
    api.delete_guest("keeper")
    where = start_keeper()
    with Client(name="sleeper", clean=False, **where) as sleeper:
        assert sleeper.session_was_kept and sleeper.message() == ("news", "three")
