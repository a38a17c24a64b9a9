"""ci/bench memory: the least memory_bytes with which each program of examples/ports does its work, by halving.

What its work is stands in PROGRAMS: a command that ends and says the right thing, or a server that answers one client
rightly. A guest works with so much memory if it does that twice.
"""

import concurrent.futures as futures
import contextlib
import dataclasses
import functools
import pathlib
import socket
import ssl
import tempfile

import qemu
import skep
from authority import self_signed

KIB, MIB = 1 << 10, 1 << 20
STEP = 4 * KIB
LEAST, MOST = 256 * KIB, 64 * MIB
TIMES = 2
WORK_SECONDS = 120
ANSWER_SECONDS = 15  # a server that lacks memory often waits, too
ADDRESS = "10.0.2.20"
DISK_BYTES, VOLUME_BYTES = 256 * MIB, 64 * MIB
PAGE = b"GET / HTTP/1.0\r\nHost: web\r\n\r\n"
# A client connects as `a`, subscribes to the topic `t` and publishes in it.
MQTT = bytes.fromhex("100d00044d5154540402000000 0161 820600010001 7400 30080001 74") + b"value"
MQTT_ANSWER = bytes.fromhex("20020000 9003000100 30080001 74") + b"value"

LIGHTTPD_TLS = """
server.modules = ("mod_mbedtls")
server.document-root = "/www"
index-file.names = ("index.html")
server.port = 80
$SERVER["socket"] == ":443" { ssl.engine = "enable" ssl.pemfile = "/server.pem" }
"""


@dataclasses.dataclass
class Program:
    """says: what it prints, or answers to what it is asked at its port."""

    image: str
    says: bytes
    args: tuple = ()
    volume: bool = False
    port: int = 0
    asked: bytes = b""
    secure: bool = False

    def spec(self):
        spec = {"image": self.image, "args": list(self.args)}
        if self.volume:
            spec["volumes"] = [{"name": "data", "mount": "/data", "format": True}]
        if self.port:
            spec["networks"] = [{"address": f"{ADDRESS}/24", "gateway": qemu.GATEWAY}]
        if self.secure:
            files = {"/lighttpd.conf": LIGHTTPD_TLS, "/server.pem": certificate()}
            spec["files"] = [{"path": path, "content": content} for path, content in files.items()]
        return spec


LIGHTTPD = ("-D", "-f", "/etc/lighttpd/lighttpd.conf")
TABLE = "CREATE TABLE t (a); INSERT INTO t VALUES (41); SELECT a + 1 FROM t"
PROGRAMS = {
    "sqlite3": Program("sqlite3", b"42\n", (":memory:", "SELECT 42")),
    "sqlite3 with a volume": Program("sqlite3", b"42\n", ("/data/db", TABLE), volume=True),
    "speedtest1 with a volume": Program("speedtest1", b"TOTAL", ("--size", "3", "/data/db"), volume=True),
    "lua": Program("lua", b"42\n", ("-e", "print(42)")),
    "qjs": Program("qjs", b"42\n", ("-e", "print(42)")),
    "nginx": Program("nginx", b" 200 OK\r\n", port=80, asked=PAGE),
    "lighttpd": Program("lighttpd", b" 200 OK\r\n", LIGHTTPD, port=80, asked=PAGE),
    "lighttpd with TLS": Program(
        "lighttpd", b" 200 OK\r\n", ("-D", "-f", "/lighttpd.conf"), port=443, asked=PAGE, secure=True
    ),
    "redis-server": Program(
        "redis-server", b"+OK\r\n$5\r\nvalue\r\n", ("/redis.conf",), port=6379, asked=b"SET key value\r\nGET key\r\n"
    ),
    "memcached": Program(
        "memcached", b"STORED\r\nVALUE key 0 5\r\nvalue\r\nEND\r\n", ("-u", "root", "-m", "2"), port=11211,
        asked=b"set key 0 0 5\r\nvalue\r\nget key\r\n",
    ),
    "mosquitto": Program("mosquitto", MQTT_ANSWER, ("-c", "/mosquitto.conf"), port=1883, asked=MQTT),
}  # fmt: skip


@functools.cache
def certificate():
    """One that signs itself, and its key."""
    with tempfile.TemporaryDirectory() as folder:
        key, pem = self_signed(pathlib.Path(folder), "web")
        return key.pem() + pem.read_text()


def answer(program, link):
    """What it answers before it closes the connection, or has said what it should."""
    with link:
        if program.secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            link = context.wrap_socket(link)
        link.sendall(program.asked)
        said = b""
        while program.says not in said and (more := link.recv(4096)):
            said += more
        return said


def answers(machine, program, ended):
    """Whether it answers one client rightly; not when it has ended before."""
    address = ("127.0.0.1", machine.ports[f"{ADDRESS}:{program.port}"])
    with socket.create_connection(address, timeout=ANSWER_SECONDS) as link, futures.ThreadPoolExecutor(1) as client:
        # A copy, which stays open when the client is done with its own.
        future = client.submit(answer, program, link.dup())
        while not future.done() and not ended():
            futures.wait([future], timeout=0.05)
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)  # the client needn't wait any more
        with contextlib.suppress(OSError):
            return program.says in future.result()
    return False


def serves(machine, program, name):
    """Whether it answers before it ends. A client that came before it has announced its address would wait for seconds
    until QEMU's network knocks again."""

    def ended():
        return machine.api.status(name)["state"] in ("exited", "crashed")

    def settled():
        if ended():
            return "ended"
        if not machine.api.status(name)["networks"][0]["tx_packets"]:
            return False
        return answers(machine, program, ended)

    try:
        return skep.wait_for(settled, f"{name} answers", ANSWER_SECONDS) is True
    except skep.NotInTime:
        return False


def ends_well(machine, program, name):
    try:
        status = machine.api.wait_state(name, "exited", "crashed", seconds=WORK_SECONDS)
    except skep.NotInTime:
        return False
    return status["exit_code"] == 0 and program.says in machine.api.log(name)


def works_once(machine, program, memory_bytes):
    api, name = machine.api, program.image
    if program.volume:
        api.ok("PUT", "/v1/volumes/data", json={"size_bytes": VOLUME_BYTES})
    created = api.put(f"/v1/guests/{name}", json=program.spec() | {"memory_bytes": memory_bytes})
    works = created.ok and (serves if program.port else ends_well)(machine, program, name)
    if created.ok:
        api.delete_guest(name)
    if program.volume:
        api.ok("DELETE", "/v1/volumes/data")
    return works


def least(works):
    """The least multiple of STEP with which it works, or None."""
    low, high = LEAST // STEP, MOST // STEP
    if not works(high * STEP):
        return None
    while low < high:
        middle = (low + high) // 2
        if works(middle * STEP):
            high = middle
        else:
            low = middle + 1
    return high * STEP


def rows(program, name, table, folder):
    elf = skep.BUILD / f"examples/{program.image}.elf"
    if not elf.is_file():
        raise qemu.Missing(f"{elf} doesn't exist: cmake --build build --target ports")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    forwards = [f"{ADDRESS}:{program.port}"] if program.port else []
    with skep.Machine(folder / "skep", forwards=forwards, disks=[disk]) as machine:
        api = machine.wait_api()
        api.ok("PUT", "/v1/disks/0", json={"format": True})
        api.upload(program.image, elf)
        found = least(lambda bytes: all(works_once(machine, program, bytes) for _ in range(TIMES)))
        machine.check_alive()
    assert found, f"it doesn't do its work with {MOST // MIB} MiB"
    table.add(f"least memory, {name}", found // KIB, "KiB")


def sections():
    return {name: functools.partial(rows, program, name) for name, program in PROGRAMS.items()}
