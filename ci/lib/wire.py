"""HTTP/1.1 over TLS without a client's manners: bytes go out as they are, and what comes back is taken apart strictly."""

import contextlib
import email.parser
import socket
import ssl

ANSWER_SECONDS = 60


class Broken(AssertionError):
    """What came is no HTTP."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Wire:
    """A connection. A context manager."""

    def __init__(self, port):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        self.data = b""
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Who has been refused may be closed before all was sent."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.socket.sendall(data)

    def more(self):
        """Whether more came; a reset counts as the end."""
        try:
            piece = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        self.closed |= not piece
        self.data += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise Broken(f"it ends amid an answer: {self.data[:200]!r}")
        text, _, self.data = self.data.partition(mark)
        return text

    def exactly(self, count):
        while len(self.data) < count:
            if not self.more():
                raise Broken(f"the body ends after {len(self.data)} of {count} bytes")
        text, self.data = self.data[:count], self.data[count:]
        return text

    def chunks(self):
        body = b""
        while count := int(self.until(b"\r\n"), 16):
            body += self.exactly(count)
            if self.exactly(2) != b"\r\n":
                raise Broken("a chunk isn't ended")
        while self.until(b"\r\n"):
            pass  # a trailer
        return body

    def answer(self, method="GET"):
        """The next answer, or None when the connection ends instead."""
        while not self.data and self.more():
            pass
        if not self.data:
            return None
        line, _, fields = self.until(b"\r\n\r\n").decode("latin-1").partition("\r\n")
        version, _, status = line.partition(" ")
        if version != "HTTP/1.1" or not status[:3].isdigit():
            raise Broken(f"no status line: {line!r}")
        headers = email.parser.HeaderParser().parsestr(fields)
        status = int(status[:3])
        if status == 100:
            return self.answer(method)
        return Answer(status, headers, self.body(method, status, headers))

    def body(self, method, status, headers):
        if method == "HEAD" or status in (101, 204, 304):
            return b""
        if headers.get("Transfer-Encoding") == "chunked":
            return self.chunks()
        if "Content-Length" not in headers:
            raise Broken("an answer without a length")
        return self.exactly(int(headers["Content-Length"]))

    def answers(self):
        """All until the server closes."""
        found = []
        while (answer := self.answer()) is not None:
            found.append(answer)
        return found
