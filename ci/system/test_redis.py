"""Redis as a guest (examples/ports/redis): ordinary clients, and what was acknowledged outlives everything.

SKEP_SOAK_SECONDS makes its time under load longer (1800: half an hour), SKEP_ROUNDS its kills more.
"""

import contextlib
import csv
import os
import re
import subprocess
import time

import ports
import pytest
import skep
from helpers import MIB, guest_program
from ports import Connection, machine_with
from test_files import command, exported

ROUNDS = int(os.environ.get("SKEP_ROUNDS", 3))
SOAK_SECONDS, SOAK_KEYS = int(os.environ.get("SKEP_SOAK_SECONDS", 60)), 50
DB_BYTES = (16 + SOAK_SECONDS // 10) * MIB  # the append-only file grows as long as there is load
CACHE, DB = "10.0.2.20:6379", "10.0.2.21:6379"
MOUNTED = [{"name": "db", "mount": "/data", "format": True}]
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


class Client(Connection):
    """Speaks RESP (version 2), as a program that counts what goes in one packet wants it."""

    def send(self, *commands):
        """Sends commands, each a tuple, at once."""
        data = b""
        for words in commands:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            data += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        self.socket.sendall(data)

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.answer() for _ in range(int(rest))]
        assert kind in b"+-", line
        return line[:-2].decode()

    def ask(self, *words):
        self.send(words)
        return self.answer()

    def info(self, name):
        return int(re.search(rf"^{name}:(\d+)", self.ask("INFO", "everything").decode(), re.M)[1])


def connected(port):
    """A client, once the server answers. QEMU takes connections before that, closes them again, or lets them hang."""

    def there():
        with contextlib.suppress(OSError):
            client = Client(port, seconds=2)
            assert client.ask("PING") == "+PONG"
            client.socket.settimeout(30)
            return client

    return skep.wait_for(there, "Redis answers")


def create(api, name, destination, *args, **spec):
    ports.create(api, name, "redis-server", destination, "/redis.conf", *args, **spec)
    skep.wait_for(lambda: b"Ready to accept connections" in api.log(name), f"{name} is ready")


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    with machine_with("redis-server", folder, tmp_path_factory.mktemp("redis"), 256 * MIB, [CACHE, DB]) as machine:
        yield machine


@pytest.fixture(scope="module")
def port(machine):
    """Of a Redis in memory alone, with threads for its clients."""
    create(machine.api, "cache", CACHE, "--io-threads", "2", "--io-threads-do-reads", "yes", vcpus=2)
    connected(machine.ports[CACHE]).close()
    return machine.ports[CACHE]


@pytest.fixture
def db(machine, api):
    """Starts a Redis with a volume, which is new in each test."""
    api.ok("PUT", "/v1/volumes/db", json={"size_bytes": DB_BYTES})

    def start(*args):
        create(api, "db", DB, "--dir", "/data", *args, volumes=MOUNTED)
        return connected(machine.ports[DB])

    return start


def tool(name, port, *args, **options):
    words = [name, "-h", "127.0.0.1", "-p", str(port), *map(str, args)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


SESSION = """\
SET greeting "h\\xc3\\xa9llo"
GET greeting
APPEND greeting !
INCRBYFLOAT half 0.5
INCRBYFLOAT pi 3.1415
RPUSH list a b c
LRANGE list 0 -1
HSET hash field 1 other 2
HGETALL hash
ZADD set 1.5 one 2.5 two
ZRANGE set 0 -1 WITHSCORES
XADD stream 1-1 key value
XRANGE stream - +
PFADD seen a b c a
PFCOUNT seen
MULTI
INCR counter
INCR counter
EXEC
EVAL "return {redis.call('INCRBY', KEYS[1], ARGV[1]), cjson.encode({ARGV[2]})}" 1 counter 40 x
EVAL "return redis.call('NO')" 0
SETRANGE greeting 6 " world"
GET greeting
TYPE stream
OBJECT ENCODING set
GET nothing
LPUSH greeting no
"""
ANSWERS = """\
OK
h\u00e9llo
7
0.5
3.1415
3
a
b
c
2
field
1
other
2
2
one
1.5
two
2.5
1-1
1-1
key
value
1
3
OK
QUEUED
QUEUED
1
2
42
["x"]
ERR Unknown Redis command called from script script: a72308f0b0bb66e10a7d7cf38cc2de08b05508ce, on @user_script:1.

12
h\u00e9llo world
stream
listpack

WRONGTYPE Operation against a key holding the wrong kind of value

"""


def test_redis_cli(port):
    assert tool("redis-cli", port, input=SESSION) == ANSWERS


def test_pipelines_and_large_values(port):
    with connected(port) as client:
        client.send(*(("SET", f"key{n}", f"value{n}") for n in range(1000)), *(("GET", f"key{n}") for n in range(1000)))
        answers = [client.answer() for _ in range(2000)]
        assert answers == ["+OK"] * 1000 + [b"value%d" % n for n in range(1000)]
        value = os.urandom(4 * MIB)
        assert client.ask("SET", "large", value) == "+OK"
        assert client.ask("GET", "large") == value
        freed = client.info("lazyfreed_objects")
        assert client.ask("SADD", "many", *range(1000), "no number") == 1001
        assert client.ask("UNLINK", "many", "large") == 2
        skep.wait_for(lambda: client.info("lazyfreed_objects") > freed, "a thread of Redis' has freed the set")


def test_subscribers(port):
    with connected(port) as publisher, connected(port) as subscriber:
        assert subscriber.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
        subscriber.send(("PSUBSCRIBE", "n?ws*"))
        assert subscriber.answer() == [b"psubscribe", b"n?ws*", 2]
        assert publisher.ask("PUBLISH", "news", "one") == 2
        assert subscriber.answer() == [b"message", b"news", b"one"]
        assert subscriber.answer() == [b"pmessage", b"n?ws*", b"news", b"one"]


def test_keys_expire(port):
    with connected(port) as client:
        assert client.ask("SET", "brief", "here", "PX", "200") == "+OK"
        assert 0 < client.ask("PTTL", "brief") <= 200
        expired = client.info("expired_keys")
        # Nobody asks for it: it goes by Redis' own clock.
        skep.wait_for(lambda: client.info("expired_keys") > expired, "the key has expired")
        assert client.ask("GET", "brief") is None


def test_a_hundred_clients_at_once(port):
    with contextlib.ExitStack() as stack:
        # One after the other: QEMU's user networking has room for one that it hasn't taken yet.
        clients = [stack.enter_context(connected(port)) for _ in range(100)]
        for _ in range(5):
            for client in clients:
                client.send(("INCR", "visits"), ("PING",))
            numbers = [(client.answer(), client.answer())[0] for client in clients]
            assert len(set(numbers)) == 100
        assert clients[0].ask("GET", "visits") == b"500"
        assert clients[0].info("connected_clients") == 100
    rows = tool("redis-benchmark", port, "-c", 4, "-n", 2000, "-P", 8, "-t", "set,get,lpush", "--csv")
    rates = {row["test"]: float(row["rps"]) for row in csv.DictReader(rows.splitlines())}
    assert set(rates) == {"SET", "GET", "LPUSH"} and min(rates.values()) > 0, rows
    with connected(port) as client:
        assert client.info("io_threaded_reads_processed") and client.info("io_threaded_writes_processed")


def test_what_would_fork_says_so(port, api):
    with connected(port) as client:
        assert client.ask("BGSAVE") == "-ERR"
        assert client.ask("BGREWRITEAOF").startswith("-ERR Can't execute an AOF background rewriting")
        assert client.ask("SAVE") == "-ERR"  # there is no volume
        assert client.ask("SET", "still", "works") == "+OK"
    said = api.log("cache").decode()
    assert "Can't save in background: fork: Function not implemented" in said
    assert "fork(): a guest has no other processes" in said


def stopped(api, name):
    """The guest's exit code after it was asked to stop."""
    api.ok("PATCH", f"/v1/guests/{name}", json={"desired_state": "stopped"})
    return api.wait_state(name, "exited", "killed", "crashed")


def test_a_stop_saves_and_so_does_save(db, api, tmp_path):
    with db("--shutdown-on-sigterm", "save") as client:
        assert client.ask("SET", "saved", "by SAVE") == "+OK"
        assert client.ask("SAVE") == "+OK"
        assert client.ask("SET", "lost", "by force") == "+OK"
    api.delete_guest("db")
    with db("--shutdown-on-sigterm", "save") as client:
        assert (client.ask("GET", "saved"), client.ask("GET", "lost")) == (b"by SAVE", None)
        assert client.ask("SET", "stopped", "cleanly") == "+OK"
    status = stopped(api, "db")
    assert (status["state"], status["exit_code"]) == ("exited", 0), api.log("db").decode()
    api.delete_guest("db")
    with db() as client:
        assert (client.ask("GET", "saved"), client.ask("GET", "stopped")) == (b"by SAVE", b"cleanly")
    api.delete_guest("db")
    # What the guest wrote, Linux reads.
    image = exported(api, "db", tmp_path / "db.img")
    command("/sbin/e2fsck", "-fn", image)
    command("/sbin/debugfs", "-R", f"dump /dump.rdb {tmp_path}/dump.rdb", image)
    command("redis-check-rdb", tmp_path / "dump.rdb")


def test_what_was_acknowledged_outlives_kills(db, api):
    """With appendfsync always, each change is on the volume before its answer is sent."""
    last = 0
    for turn in range(1, ROUNDS + 1):
        with db(*ALWAYS) as client:
            client.send(*(("SET", f"n{n}", n) for n in range(last + 1, last + 1001)))
            acknowledged = 100 * turn
            assert [client.answer() for _ in range(acknowledged)] == ["+OK"] * acknowledged
            api.delete_guest("db")
        with db(*ALWAYS) as client:
            count = client.ask("DBSIZE")
            assert last + acknowledged <= count <= last + 1000
            client.send(*(("GET", f"n{n}") for n in range(1, count + 1)))
            assert [client.answer() for _ in range(count)] == [b"%d" % n for n in range(1, count + 1)]
        api.delete_guest("db")
        last = count


def soaked(client, turn):
    """Writes all keys, and reads each four times."""
    client.send(*(("SET", f"key{n}", f"{turn:08}") for n in range(SOAK_KEYS)))
    client.send(*(("GET", f"key{n % SOAK_KEYS}") for n in range(4 * SOAK_KEYS)))
    assert [client.answer() for _ in range(SOAK_KEYS)] == ["+OK"] * SOAK_KEYS
    assert [client.answer() for _ in range(4 * SOAK_KEYS)] == [b"%08d" % turn] * 4 * SOAK_KEYS


def test_load_beside_guests_that_come_and_go(machine, db, api):
    """Answers are right all the time, nothing grows but the file, and all of it is there after a restart."""

    def figures():
        promised = api.host()["memory"]["promised"]
        return {
            "promised": promised,
            "Redis": client.info("used_memory"),
            "guest": api.status("db")["memory_used_bytes"],
            "clients": client.info("connected_clients"),
        }

    api.upload("stay", guest_program("stay"))
    with db(*ALWAYS) as client:
        turn, end, before = 0, time.monotonic() + SOAK_SECONDS, None
        while time.monotonic() < end or turn < 10:
            turn += 1
            api.create("beside", image="stay", memory_bytes=8 * MIB, desired_state="running")
            soaked(client, 2 * turn)
            api.delete_guest("beside")
            soaked(client, 2 * turn + 1)
            before = figures() if turn == 5 else before
            machine.check_alive()
        after = figures()
        written = client.info("aof_current_size")
    print(f"{turn} turns, {written:,} bytes of the append-only file; {before} before, {after} after")
    assert written > 2 * turn * SOAK_KEYS * len("key1 00000001")
    assert (after["promised"], after["clients"]) == (before["promised"], before["clients"])
    assert after["Redis"] <= before["Redis"] + MIB // 4 and after["guest"] <= before["guest"] + MIB, (before, after)
    api.delete_guest("db")
    with db(*ALWAYS) as client:
        client.send(*(("GET", f"key{n}") for n in range(SOAK_KEYS)))
        assert [client.answer() for _ in range(SOAK_KEYS)] == [b"%08d" % (2 * turn + 1)] * SOAK_KEYS
        assert client.ask("DBSIZE") == SOAK_KEYS
    api.delete_guest("db")
