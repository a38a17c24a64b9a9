"""mosquitto as a guest (examples/ports/mosquitto): ordinary clients, 500 at once, and what it keeps on a volume."""

import contextlib
import subprocess

import ports
import pytest
import skep
from helpers import MIB
from ports import Connection, machine_with

BROKER, KEEPER = "10.0.2.20:1883", "10.0.2.21:1883"
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


def text(word):
    return len(word).to_bytes(2, "big") + word.encode()


class Client(Connection):
    """Speaks MQTT 3.1.1 with quality of service 1."""

    def __init__(self, port, name, clean=True, seconds=60):
        super().__init__(port, seconds)
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


def wait_broker(port):
    """Until it answers. QEMU takes connections before that, closes them again, or lets them hang."""

    def there():
        with contextlib.suppress(OSError):
            Client(port, "first", seconds=2).close()
            return True

    skep.wait_for(there, "mosquitto answers")


def create(machine, name, destination, *args, **spec):
    """The port at which this broker is reached."""
    ports.create(machine.api, name, "mosquitto", destination, "-c", *args, **spec)
    wait_broker(machine.ports[destination])
    return machine.ports[destination]


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    with machine_with("mosquitto", folder, tmp_path_factory.mktemp("mosquitto"), 64 * MIB, [BROKER, KEEPER]) as machine:
        yield machine


@pytest.fixture(scope="module")
def port(machine):
    return create(machine, "broker", BROKER, "/mosquitto.conf")


def tool(name, port, *args):
    words = [name, "-h", "127.0.0.1", "-p", str(port), *args]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_ordinary_clients(port):
    for version in ("mqttv311", "mqttv5"):
        for quality in "012":
            message = f"{version}, {quality}"
            tool("mosquitto_pub", port, "-V", version, "-q", quality, "-r", "-t", f"kept/{quality}", "-m", message)
            said = tool("mosquitto_sub", port, "-V", version, "-q", quality, "-v", "-C", "1", "-t", f"kept/{quality}")
            assert said == f"kept/{quality} {message}\n"
    assert sorted(tool("mosquitto_sub", port, "-C", "3", "-t", "kept/#").splitlines()) == [
        f"mqttv5, {quality}" for quality in "012"
    ]
    assert tool("mosquitto_rr", port, "-V", "5", "-t", "echo", "-e", "echo", "-m", "itself") == "itself\n"


def test_500_clients(port):
    with contextlib.ExitStack() as stack:
        # One after the other: QEMU's user networking has room for one that it hasn't taken yet.
        clients = [stack.enter_context(Client(port, f"client{i}")) for i in range(500)]
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


def test_what_is_kept_outlives_a_kill_and_a_stop(machine, api):
    api.ok("PUT", "/v1/volumes/kept", json={"size_bytes": 16 * MIB})
    spec = {"volumes": [{"name": "kept", "mount": "/data", "format": True}]}
    port = create(machine, "keeper", KEEPER, "/persistence.conf", **spec)
    with Client(port, "sleeper", clean=False) as sleeper:
        assert not sleeper.session_was_kept
        sleeper.subscribe("news")
    with Client(port, "writer") as writer:
        # It saves what has changed before it looks for the next packet. A save renames a file, which is durable from the
        # next save's fsync() on, or five seconds later: the last one may be lost.
        for topic, message in (("state", "on"), ("news", "one"), ("news", "two"), ("other", "last")):
            writer.publish(topic, message, retain=topic != "news")
            writer.ping()
    api.delete_guest("keeper")
    port = create(machine, "keeper", KEEPER, "/persistence.conf", **spec)
    with Client(port, "sleeper", clean=False) as sleeper:
        assert sleeper.session_was_kept
        assert [sleeper.message(), sleeper.message()] == [("news", "one"), ("news", "two")]
        sleeper.subscribe("state")
        assert sleeper.message() == ("state", "on")
    with Client(port, "writer") as writer:
        writer.publish("news", "three")
    api.ok("PATCH", "/v1/guests/keeper", json={"desired_state": "stopped"})
    status = api.wait_state("keeper", "exited", "killed", "crashed")
    assert (status["state"], status["exit_code"]) == ("exited", 0), api.log("keeper").decode()
    api.delete_guest("keeper")
    port = create(machine, "keeper", KEEPER, "/persistence.conf", **spec)
    with Client(port, "sleeper", clean=False) as sleeper:
        assert sleeper.session_was_kept and sleeper.message() == ("news", "three")
