"""What a connection to the API costs with each kind of TLS handshake."""

import socket
import ssl

from counter import ADDRESS, CountedMachine

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: skep\r\n\r\n"
VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}

# Instructions, at most. A full handshake is an agreement on keys and a signature, a resumed one with 1.3 the former
# alone, with 1.2 neither.
M = 1_000_000
GOALS = {("1.3", "full"): 16 * M, ("1.3", "resumed"): 12 * M, ("1.2", "full"): 8 * M, ("1.2", "resumed"): M}


def client_context(version):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


def connect(machine, context, session=None):
    """A handshake and the shortest request, whose answer comes when all of the handshake has been done."""
    plain = socket.create_connection(("127.0.0.1", machine.api_port), timeout=30)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain, session=session) as connection:
        connection.sendall(REQUEST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert connection.session_reused == (session is not None)
        return connection.session


def spans(machine, context, resumed, rounds=24):
    """A ticket is used once, and at once: on a busy host this machine's clock is far behind the client's, and both tell its
    age."""
    out = []
    for _ in range(rounds):
        session = connect(machine, context) if resumed else None
        before = machine.wait_quiet()
        connect(machine, context, session)
        out.append(machine.wait_quiet() - before)
    return out[2:]


def rows(table, folder):
    with CountedMachine(folder / "handshake", append=ADDRESS) as machine:
        machine.wait_api().close()
        for version in VERSIONS:
            context = client_context(version)
            connect(machine, context)
            for kind in ("full", "resumed"):
                name = f"TLS {version} handshake, {kind}"
                table.add_spans(name, spans(machine, context, kind == "resumed"), GOALS[version, kind])
