"""Too many clients, slow ones and greedy ones: what an ordinary client gets meanwhile."""

import concurrent.futures
import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time

import pytest

import skep
from slow import Attack, any_certificate, connect, stalled_reader


@pytest.fixture
def service(start):
    return start()


def get(service, path, source="127.0.0.1", token=""):
    """A GET on a connection of its own: the status and the seconds until its answer was there."""
    began = time.monotonic()
    connection = http.client.HTTPSConnection(
        "127.0.0.1", service.port, timeout=30, context=any_certificate(), source_address=(source, 0)
    )
    connection.request("GET", path, headers={} if token is None else {"Authorization": f"Bearer {token or service.token}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.monotonic() - began


def ordinary(service, **options):
    """Seconds that the calls of an ordinary client take, sorted."""
    out = []
    for path in ["/healthz", "/v1/guests"] * 10:
        status, seconds = get(service, path, **options)
        assert status == 200
        out.append(seconds)
    return sorted(out)


def test_of_several_who_ask_at_once_one_writes(service, elf):
    """To a console; the place is free again when that one has gone."""
    service.api.upload("hello", elf)
    service.api.create("web", image="hello")
    address, start = "/v1/guests/web/console?input=true", threading.Barrier(4)
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    fields |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": f"Bearer {service.token}"}

    def ask(connection, answers):
        connection.connect()
        start.wait(30)
        connection.request("GET", address, headers=fields)
        answers.append(connection.getresponse().status)

    for _ in range(8):
        answers, connections = [], [
            http.client.HTTPSConnection("127.0.0.1", service.port, timeout=30, context=any_certificate()) for _ in range(4)
        ]
        threads = [threading.Thread(target=ask, args=(connection, answers)) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(answers) == [101, 409, 409, 409]
        for connection in connections:
            connection.close()
        skep.wait_for(lambda: "skep_streams 0\n" in service.api.get("/metrics").text, "the place is free")


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_slow_clients_keep_nobody_out(service, source):
    """200 connections of all kinds of slowness, some of which come again when they are closed: an ordinary client is answered in
    under a second. This host may be busy: of its calls a tenth may take longer, and all if they do without the attack, but
    none as long as it takes until slow clients run into their time-outs."""
    quiet = ordinary(service, source=source)
    with Attack(service.port, 200) as attack:
        attack.wait_open()
        busy = ordinary(service, source=source)
        attack.check()
    assert busy[17] < max(1.0, 3 * quiet[17]) and busy[-1] < max(5.0, 3 * quiet[-1]), (quiet, busy)


def test_readers_that_stall_lose_their_places(start):
    """With the token: they may take their time, but not when others need the slots."""
    service = start(volume_bytes=64 << 20)
    service.api.ok("PUT", "/v1/disks/0", json={"format": True})
    paths = []
    for number in range(34):
        service.api.ok("PUT", f"/v1/volumes/v{number}", json={"size_bytes": 16 << 20, "overcommit": True})
        paths.append(f"/v1/volumes/v{number}/data")
    readers = [stalled_reader(service.port, service.token, path) for path in paths]
    try:
        ordinary(service)
    finally:
        for reader in readers:
            reader.close()


WARNING = bytes.fromhex("150303000201") + b"\x5a"  # an alert that a server may ignore: user_canceled, as a warning


def send_until_ended(connection, data):
    """Sends the same over and over until the service ends the connection, which must be soon."""
    end = time.monotonic() + 20
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while time.monotonic() < end:
            connection.sendall(data)
        pytest.fail("the service has taken all that came")


def flood_warnings(service):
    with contextlib.closing(connect(service.port)) as connection:
        send_until_ended(connection, WARNING * 9000)


def flood_framing(service, chunk):
    """In the body of a request without a token: what is no data isn't taken without end, either."""
    with any_certificate().wrap_socket(connect(service.port)) as connection:
        connection.sendall(b"PUT /v1/images/x HTTP/1.1\r\nHost: skep\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        send_until_ended(connection, b"a" * 65536 if chunk else b"1;" + b"a" * 4096 + b"\r\nx\r\n")


@pytest.mark.parametrize(
    "flood",
    [
        flood_warnings,
        pytest.param(functools.partial(flood_framing, chunk=b"1;"), id="a chunk's extension"),
        pytest.param(functools.partial(flood_framing, chunk=b"0\r\nx: "), id="a trailer"),
        pytest.param(functools.partial(flood_framing, chunk=b""), id="many extensions"),
    ],
)
def test_floods_that_say_nothing(service, flood):
    """What a peer may send without end, and a server pass over, ends the connection. Before the handshake it would have the
    places of all who do arithmetic, so that nobody else came to it."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        floods = [pool.submit(flood, service) for _ in range(8)]
        assert get(service, "/v1/guests")[0] == 200
        for one in floods:
            one.result()


def test_chunks_with_much_framing(service):
    """Chunks of one byte, with lengths of eight digits, are a body like any other; so is a short extension."""
    body = b"".join(b"00000001;a=b\r\n%c\r\n" % byte for byte in b"{}") + b"1\r\n \r\n" * 5000 + b"0\r\nx: y\r\n\r\n"
    with any_certificate().wrap_socket(connect(service.port)) as connection:
        connection.sendall(
            b"PATCH /v1/guests/none HTTP/1.1\r\nHost: skep\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % service.token.encode() + body
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")


CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
FRAMINGS = {  # name: version, lines of the header, body, whether it is a request
    "a length": (1, b"Content-Length: 2", b"{}", True),
    "chunks": (1, b"Transfer-Encoding: chunked", CHUNKS, True),
    "chunks, and space": (1, b"Transfer-Encoding: chunked ", CHUNKS, True),
    "chunks of 1.0": (0, b"Transfer-Encoding: chunked", CHUNKS, False),
    "both": (1, b"Transfer-Encoding: chunked\r\nContent-Length: 2", CHUNKS, False),
    "another coding": (1, b"Transfer-Encoding: gzip, chunked", CHUNKS, False),
    "another coding behind": (1, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", CHUNKS, False),
    "chunks twice": (1, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", CHUNKS, False),
    "a control": (1, b"Transfer-Encoding: \x0bchunked", CHUNKS, False),
    "a space": (1, b"Transfer-Encoding : chunked", CHUNKS, False),
    "a sign": (1, b"Content-Length: +2", b"{}", False),
    "the same length twice": (1, b"Content-Length: 2\r\nContent-Length: 2", b"{}", False),
    "a folded line": (1, b"X: a\r\n Content-Length: 9\r\nContent-Length: 2", b"{}", False),
    "a prefix": (1, b"Transfer-Encoding: chunked", b"0x" + CHUNKS, False),
    "line feeds": (1, b"Transfer-Encoding: chunked", CHUNKS.replace(b"\r", b""), False),
    "no end of a chunk": (1, b"Transfer-Encoding: chunked", b"2\r\n{}xx0\r\n\r\n", False),
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_where_a_request_ends(service, framing):
    """Whatever a proxy in front might see otherwise is refused, and nothing behind it is taken for another request."""
    version, lines, body, is_good = framing
    head = b"PATCH /v1/guests/none HTTP/1.%d\r\nHost: skep\r\nConnection: keep-alive\r\n" % version
    head += b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n" % (service.token.encode(), lines)
    with any_certificate().wrap_socket(connect(service.port)) as connection:
        connection.sendall(head + body + b"GET /healthz HTTP/1.1\r\nHost: skep\r\nConnection: close\r\n\r\n")
        seen = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = [answer[:3] for answer in seen.split(b"HTTP/1.1 ")[1:]]
    assert statuses == ([b"404", b"200"] if is_good else [b"400"])


def test_too_many_requests(service):
    """One caller beyond its rate is told when to come again; others, and those without a token, are not concerned."""
    seen = set()

    def flood():
        connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=30, context=any_certificate())
        for _ in range(800):
            connection.request("GET", "/v1/images", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            seen.add(answer.status)
            if answer.status == 429:
                assert int(answer.headers["Retry-After"]) >= 1
                break
        connection.close()

    token = "wrong-token-wrong"
    flood()
    assert seen == {401, 429}
    assert get(service, "/v1/images")[0] == 200  # the same address, with the token
    assert get(service, "/healthz", token=None)[0] == 200
    assert get(service, "/v1/images", token=None, source="127.0.0.3")[0] == 401
    skep.wait_for(lambda: get(service, "/v1/images", token=None)[0] == 401, "the wrong caller's next turn", 10)


def test_handshakes_are_bounded(service):
    """Many full handshakes at once all succeed."""
    failures = []

    def connect():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain:
            with any_certificate().wrap_socket(plain):
                return
        failures.append(1)

    for _ in range(2):
        threads = [threading.Thread(target=connect) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert not failures
