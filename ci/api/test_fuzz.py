"""A short run of ci/fuzz-api, bodies of every JSON type for every call that takes one, and requests that a proxy and Skep
might take apart differently."""

import json

import pytest

import api_fuzz
import wire
from conftest import CONTRACT, MIB

REQUESTS = 250


def test_requests_made_of_the_document(start, elf):
    """The same ones each time, so that what fails here fails for everybody. ci/fuzz-api looks for more."""
    service = start(volume_bytes=64 * MIB)
    count, statuses = api_fuzz.run(service, elf, seed=1, enough=lambda made: made >= REQUESTS)
    assert count == REQUESTS and {200, 400, 404, 422} <= set(statuses), statuses


WITH_JSON = [operation for operation in CONTRACT.operations if "application/json" in operation.body()]
BODIES = ["[[]]", "[1]", "[{}]", '"text"', "5", "null", "true", '{"": 1}', "[]", '{"colour": [[[]]]}', ""]


# An empty one is none, where it may be left out.
OTHER = [(o, body) for o in WITH_JSON for body in BODIES if body or o.item["requestBody"]["required"]]


@pytest.mark.parametrize("operation, body", OTHER, ids=[f"{o.id}-{body}" for o, body in OTHER])
def test_bodies_of_other_types(api, operation, body):
    path = operation.template.format(name="fresh" if operation.method == "PUT" else "web", id="0")
    answer = api.request(operation.method, path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 404, 411, 422), answer.text


#
# Framing: what is hidden in a body must not be taken for a request, and what is ambiguous must be refused.
#


@pytest.fixture
def victim(api):
    """A guest that the hidden request would delete."""
    api.create("victim", image="httpd", desired_state="stopped")
    yield
    assert api.delete("/v1/guests/victim").status_code == 204


def target(service):
    return f"Host: skep\r\nAuthorization: Bearer {service.token}\r\n".encode()


def hidden(service):
    return b"DELETE /v1/guests/victim HTTP/1.1\r\n" + target(service) + b"\r\n"


PUT = b"PUT /v1/guests/fresh HTTP/1.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# Fields after the request line and the usual ones; {n} is the length of the hidden request.
AMBIGUOUS = {
    "length-and-chunks": b"Content-Length: {n}\r\n" + CHUNKED,
    "chunks-and-length": CHUNKED + b"Content-Length: {n}\r\n",
    "two-lengths": b"Content-Length: 0\r\nContent-Length: {n}\r\n",
    "the-same-length-twice": b"Content-Length: {n}\r\nContent-Length: {n}\r\n",
    "a-list-of-lengths": b"Content-Length: {n}, {n}\r\n",
    "signed-length": b"Content-Length: +{n}\r\n",
    "negative-length": b"Content-Length: -{n}\r\n",
    "hexadecimal-length": b"Content-Length: 0x10\r\n",
    "fraction": b"Content-Length: 1.0\r\n",
    "two-numbers": b"Content-Length: 1 2\r\n",
    "empty-length": b"Content-Length: \r\n",
    "huge-length": b"Content-Length: 18446744073709551617\r\n",
    "length-in-quotes": b'Content-Length: "{n}"\r\n',
    "space-before-the-colon": b"Content-Length : {n}\r\n",
    "tab-before-the-colon": b"Transfer-Encoding\t: chunked\r\n",
    "unknown-coding": b"Transfer-Encoding: xchunked\r\n",
    "coding-behind-chunks": b"Transfer-Encoding: chunked, identity\r\n",
    "identity": b"Transfer-Encoding: identity\r\nContent-Length: {n}\r\n",
    "vertical-tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "two-codings": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, x\r\n",
    "folded": b"X-A: b\r\n Content-Length: {n}\r\n",
    "folded-coding": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: {n}\r\n",
    "folded-first": b" X-A: b\r\n",
    "bare-line-feed": b"X-A: b\nContent-Length: {n}\r\n",
    "bare-return": b"X-A: b\rContent-Length: {n}\r\n",
    "nul": b"X-A: b\x00c\r\n",
    "nul-in-a-name": b"X-\x00A: b\r\n",
    "no-name": b": b\r\n",
    "no-colon": b"X-A\r\n",
    "two-hosts": b"Host: other\r\n",
    "space-in-a-name": b"X A: b\r\n",
}


def only_refused(service, data, statuses):
    """One answer, a problem; then the connection is closed, and what was hidden hasn't been done."""
    with wire.Wire(service.port) as connection:
        connection.send(data)
        answers = connection.answers()
    assert len(answers) == 1, [(answer.status, answer.body) for answer in answers]
    answer = answers[0]
    assert answer.status in statuses, (answer.status, answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.headers["Connection"] == "close"
    assert not CONTRACT.check("PUT", "/v1/guests/fresh", answer.status, answer.headers, answer.body)
    assert json.loads(answer.body)["status"] == answer.status
    assert service.api.get("/v1/guests/victim").status_code == 200
    assert service.api.get("/v1/guests/fresh").status_code == 404


@pytest.mark.parametrize("fields", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_framing_is_refused(service, victim, fields):
    smuggled = hidden(service)
    fields = fields.replace(b"{n}", str(len(smuggled)).encode())
    for line in (PUT, GET):
        only_refused(service, line + target(service) + fields + b"\r\n" + b"0\r\n\r\n" + smuggled, (400,))


CHUNKS = {
    "no-size": b"\r\n",
    "signed": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative": b"-1\r\nhello\r\n0\r\n\r\n",
    "prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "not-hexadecimal": b"5g\r\nhello\r\n0\r\n\r\n",
    "space-before": b" 5\r\nhello\r\n0\r\n\r\n",
    "longer-than-said": b"3\r\nhello\r\n0\r\n\r\n",
    "no-end-of-a-chunk": b"5\r\nhello0\r\n\r\n",
    "bare-line-feed": b"5\nhello\r\n0\r\n\r\n",
    "line-feed-behind-data": b"5\r\nhello\n0\r\n\r\n",
    "extension-with-line-feed": b"5;a=\nb\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_are_none(service, victim, chunks):
    only_refused(service, PUT + target(service) + CHUNKED + b"\r\n" + chunks + hidden(service), (400,))


LINES = {
    "tab": (b"GET\t/healthz HTTP/1.1", (400, 501)),
    "no-version": (b"GET /healthz", (400, 505)),
    "space-at-the-end": (b"GET /healthz HTTP/1.1 ", (400, 505)),
    "space-in-the-path": (b"GET /heal thz HTTP/1.1", (400,)),
    "nul-in-the-path": (b"GET /heal\x00thz HTTP/1.1", (400,)),
    "version-0.9": (b"GET /healthz HTTP/0.9", (400, 505)),
    "version-2.0": (b"GET /healthz HTTP/2.0", (400, 505)),
    "version-1.2": (b"GET /healthz HTTP/1.2", (400, 505)),
    "other-protocol": (b"GET /healthz ICE/1.1", (400, 505)),
    "small-method": (b"get /healthz HTTP/1.1", (400, 501)),
    "method-with-a-tail": (b"GETX /healthz HTTP/1.1", (400, 501)),
    "return-amid": (b"GET /healthz HTTP/1.1\r\r\n", (400,)),
}


@pytest.mark.parametrize("line, statuses", LINES.values(), ids=LINES)
def test_request_lines_that_are_none(service, victim, line, statuses):
    only_refused(service, line + b"\r\n" + target(service) + b"\r\n" + hidden(service), statuses)


def test_host_is_needed(service, victim):
    authorization = target(service).partition(b"\r\n")[2]
    only_refused(service, GET + authorization + b"\r\n" + hidden(service), (400,))


def test_pipelined_requests_are_taken_one_by_one(service, api, victim):
    """What is right goes on: requests in one piece, chunks with extensions and trailers, a body that isn't read."""
    chunked = b"PATCH /v1/guests/web HTTP/1.1\r\n" + target(service) + CHUNKED + b"Content-Type: application/json\r\n\r\n"
    chunked += b"2;a=b\r\n{}\r\n0\r\nX-Trailer: c\r\n\r\n"
    unread = b"GET /healthz HTTP/1.1\r\n" + target(service) + b"Content-Length: 6\r\n\r\nunread"
    last = b"GET /healthz HTTP/1.1\r\n" + target(service) + b"Connection: close\r\n\r\n"
    with wire.Wire(service.port) as connection:
        connection.send(chunked + unread + chunked + last + hidden(service))
        answers = connection.answers()
    assert [answer.status for answer in answers] == [200] * 4
    assert [("change" in json.loads(answer.body)) for answer in answers] == [True, False, True, False]
    assert api.get("/v1/guests/victim").status_code == 200


def test_bodies_that_break_off(service, api):
    """Half a request is none."""
    spec = json.dumps({"image": "httpd"}).encode()
    for fields, body in (
        (b"Content-Length: %d\r\n\r\n" % (len(spec) + 1), spec),
        (CHUNKED + b"\r\n", b"%x\r\n%s\r\n" % (len(spec), spec)),
        (CHUNKED + b"\r\n", b"%x\r\n%s" % (len(spec) + 9, spec)),
    ):
        with wire.Wire(service.port) as connection:
            connection.send(PUT + target(service) + fields + body)
        assert api.get("/v1/guests/fresh").status_code == 404
