"""memcached as a guest (examples/ports/memcached): its own tests, and many clients who check all that they get."""

import contextlib
import struct
import subprocess
import zlib

import pytest
import skep
from helpers import MIB, example, run_to_end
from ports import Connection, source

ADDRESS = "10.0.2.20:11211"

# memcached's own tests (its folder t), by the options that they want of a server, which those in a row may share. Left out
# is what sleeps for seconds, writes hundreds of megabytes, wants memcached-debug, which can set its clock, or starts servers.
OWN_TESTS = {
    "": "bogus-commands cas flags incrdecr issue_108 issue_152 binary-get malicious-commands metaget multiversioning noreply "
    "stats-detail strtol-testing quit",
    "-m 3": "evictions",
    "-Y /authfile": "ascii-auth",
}


class Client(Connection):
    """Speaks memcached's text protocol."""

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return line[:-2].decode()

    def send(self, *lines):
        self.socket.sendall(b"".join(line + b"\r\n" for line in lines))

    def ask(self, *lines):
        self.send(*lines)
        return self.line()

    def send_set(self, key, value, seconds=0):
        self.send(b"set %s 0 %d %d" % (key, seconds, len(value)), value)

    def values(self):
        """What a get answers: values by their keys."""
        found = {}
        while (line := self.line()) != "END":
            word, key, _, count = line.split()
            assert word == "VALUE", line
            value = self.file.read(int(count) + 2)
            assert value[-2:] == b"\r\n"
            found[key.encode()] = value[:-2]
        return found

    def stats(self):
        self.send(b"stats")
        rows = {}
        while (line := self.line()) != "END":
            _, name, value = line.split(" ", 2)
            rows[name] = value
        return rows


def connected(port):
    """A client, once the server answers. QEMU takes connections before that, closes them again, or lets them hang."""

    def there():
        with contextlib.suppress(OSError):
            client = Client(port, seconds=2)
            client.ask(b"version")
            client.socket.settimeout(60)
            return client

    return skep.wait_for(there, "memcached answers")


@pytest.fixture(scope="module")
def machine(folder):
    with skep.Machine(folder / "memcached", elf=skep.build_exists(), cpus=2, forwards=[ADDRESS]) as machine:
        machine.wait_api().upload("memcached", example("memcached"))
        yield machine
        machine.check_alive()


@pytest.fixture
def serve(machine, api):
    """Starts a memcached with these options; the port by which it is reached here."""

    def start(*args, memory_bytes=96 * MIB, **spec):
        networks = [{"address": ADDRESS.partition(":")[0] + "/24", "gateway": "10.0.2.2"}]
        args = ["-u", "root", *args]
        api.create("cache", image="memcached", args=args, memory_bytes=memory_bytes, networks=networks, vcpus=2, **spec)
        port = machine.ports[ADDRESS]
        connected(port).close()
        return port

    return start


@pytest.mark.parametrize("options", OWN_TESTS)
def test_its_own_tests(serve, api, tmp_path, options):
    folder = source("memcached") / "t"
    _, said = run_to_end(api, "help", example("memcached"), ["-h"])
    (tmp_path / "help").write_text(said)
    # They run this to learn what it was built with.
    program = tmp_path / "memcached-debug"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/help\n")
    program.chmod(0o755)
    files = [{"path": "/authfile", "content": (folder / "authfile").read_text()}]
    environment = {"PATH": "/usr/bin:/bin", "T_MEMD_USE_DAEMON": f"127.0.0.1:{serve(*options.split(), files=files)}"}
    tests = [folder / f"{name}.t" for name in OWN_TESTS[options].split()]
    done = subprocess.run(
        ["prove", *tests], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=120,
    )  # fmt: skip
    said = "\n".join(line[:200] for line in done.stdout.splitlines()[-40:])
    assert done.returncode == 0 and f"Files={len(tests)}," in said and "skipped" not in said, said


def value_of(key, version):
    """A value that shows whose it is, and that it is whole."""
    text = b"%s %d " % (key, version) + b"x" * (8000 + zlib.crc32(key) % 500)
    return text + b" %08x" % zlib.crc32(text)


def is_value_of(key, value):
    return value.startswith(key + b" ") and value[-8:] == b"%08x" % zlib.crc32(value[:-9])


# What a set is answered. While all that is of the value's size is in use, there is no room for a moment.
STORED, FULL = "STORED", "SERVER_ERROR out of memory storing object"


class Load:
    """As mc-crusher makes it: sets, gets of many keys at once and a counter, by all connections at the same time."""

    KEYS, ROUNDS = 10, 2

    def __init__(self, clients):
        self.clients = clients
        self.keys = [[b"key-%d-%d" % (i, n) for n in range(self.KEYS)] for i in range(len(clients))]
        self.stored = self.asked = self.hits = 0

    def got(self, client, keys):
        found = client.values()
        assert set(found) <= set(keys) and all(is_value_of(key, found[key]) for key in found)
        self.asked, self.hits = self.asked + len(keys), self.hits + len(found)
        return found

    def round(self, version):
        for client, own in zip(self.clients, self.keys):
            for key in own:
                client.send_set(key, value_of(key, version))
            client.send(b"incr counter 1", b"get " + b" ".join(own))
        for client, own in zip(self.clients, self.keys):
            answers = [client.line() for _ in own]
            assert set(answers) <= {STORED, FULL}
            self.stored += answers.count(STORED)
            assert 1 <= int(client.line()) <= len(self.clients) * self.ROUNDS
            self.got(client, own)
        others = self.keys[1:] + self.keys[:1]
        for client, keys in zip(self.clients, others):
            client.send(b"get " + b" ".join(keys))
        for client, keys in zip(self.clients, others):
            for key, value in self.got(client, keys).items():
                assert value == value_of(key, version)

    def run(self):
        for version in range(self.ROUNDS):
            self.round(version)


def test_many_clients_and_more_than_fits(serve):
    port = serve("-m", "6", memory_bytes=32 * MIB)
    with contextlib.ExitStack() as stack:
        # One after the other: QEMU's user networking has room for one that it hasn't taken yet.
        clients = [stack.enter_context(connected(port)) for _ in range(100)]
        clients[0].send_set(b"counter", b"0")
        assert clients[0].line() == STORED
        load = Load(clients)
        load.run()
        clients[0].send(b"get counter")
        assert clients[0].values() == {b"counter": b"%d" % (len(clients) * load.ROUNDS)}
        stats = clients[0].stats()
    assert stats["threads"] == "4" and int(stats["curr_connections"]) >= len(clients)
    assert load.stored > 9 * len(clients) * load.ROUNDS * load.KEYS // 10 and int(stats["evictions"]) > 0
    assert int(stats["cmd_set"]) == load.stored + 1
    assert (int(stats["get_hits"]), int(stats["get_misses"])) == (load.hits + 1, load.asked - load.hits)
    assert load.hits > load.asked // 10


class Binary:
    """Speaks memcached's binary protocol: requests and answers have a head of 24 bytes."""

    HEAD = struct.Struct(">BBHBBHIIQ")

    def __init__(self, client):
        self.client = client

    def ask(self, operation, key=b"", value=b"", extras=b""):
        """The answer's status and value."""
        length = len(key) + len(value) + len(extras)
        head = self.HEAD.pack(0x80, operation, len(key), len(extras), 0, 0, length, 7, 0)
        self.client.socket.sendall(head + extras + key + value)
        magic, same, key_bytes, extra_bytes, _, status, length, opaque, _ = self.HEAD.unpack(self.client.file.read(24))
        assert (magic, same, opaque) == (0x81, operation, 7)
        return status, self.client.file.read(length)[key_bytes + extra_bytes :]


def test_the_binary_protocol(serve):
    port = serve()
    with Client(port) as client, connected(port) as text:
        binary = Binary(client)
        get, put, add, increment = 0, 1, 2, 5
        value = bytes(range(256)) * 1000
        flags = struct.pack(">II", 0, 0)
        assert binary.ask(put, b"key", value, flags) == (0, b"")
        assert binary.ask(get, b"key") == (0, value)
        assert binary.ask(add, b"key", b"other", flags) == (2, b"Data exists for key.")
        assert binary.ask(get, b"nothing") == (1, b"Not found")
        assert binary.ask(increment, b"n", extras=struct.pack(">QQI", 5, 40, 0)) == (0, struct.pack(">Q", 40))
        assert binary.ask(increment, b"n", extras=struct.pack(">QQI", 2, 40, 0)) == (0, struct.pack(">Q", 42))
        text.send(b"get key n")
        assert text.values() == {b"key": value, b"n": b"42"}


def test_values_expire_and_a_stop_ends_it(serve, api):
    with connected(serve()) as client:
        client.send_set(b"brief", b"here", seconds=1)
        assert client.line() == STORED
        skep.wait_for(lambda: client.send(b"get brief") or not client.values(), "the value has expired")
    api.ok("PATCH", "/v1/guests/cache", json={"desired_state": "stopped"})
    status = api.wait_state("cache", "exited", "killed", "crashed")
    assert (status["state"], status["exit_code"]) == ("exited", 0), api.log("cache").decode()
