"""What skepctl was answered, by the traces that it writes (SKEP_TRACE), as docs/openapi.json has it."""

import http.client
import io
import itertools
import re

HOSTS = set()  # of services whose answers count; those of impostors don't
_made = []
_numbers = itertools.count()


def make(folder):
    """The name of a file for the trace of one process."""
    _made.append(folder / f"trace-{next(_numbers)}")
    return str(_made[-1])


class _Wire(io.BytesIO):
    """As http.client wants a socket, which it may not close."""

    def makefile(self, *_):
        return self

    def close(self):
        pass


def answers(data):
    """(method, target, answer, its body) of each; the last one may be cut off, and is left out then."""
    # Of this one libcurl doesn't show the line that ends it.
    data = data.replace(b"HTTP/1.1 100 Continue\r\n", b"")
    wire = _Wire(data)
    while head := re.match(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n(?:.+\r\n)*\r\n", data[wire.tell() :]):
        wire.seek(head.end(), io.SEEK_CUR)
        if not data.startswith(b"HTTP/", wire.tell()):
            continue  # it was sent anew on another connection
        method, target = (part.decode() for part in head.groups())
        answer = http.client.HTTPResponse(wire, method=method)
        try:
            answer.begin()
            body = answer.read()
        except http.client.HTTPException:
            break
        yield method, target, answer, body
    assert wire.tell() == len(data), data[wire.tell() :][:200]


def note(contract):
    """Looks at what has been traced since, and returns how many answers that were."""
    count = 0
    while _made:
        file = _made.pop()
        data = file.read_bytes() if file.exists() else b""
        host = re.search(rb"\r\nHost: (\S+)\r\n", data)
        if host and host[1].decode() in HOSTS:
            for method, target, answer, body in answers(data):
                count += 1
                contract.mistakes += contract.look(method, target, answer.status, answer.headers, body)
    return count
