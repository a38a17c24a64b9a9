"""What is told of who may do what, and to whom: tokens, clients' certificates, and the server's certificate."""

import contextlib
import json

import pytest
import requests

import skep
from authority import self_signed

LATER = "2099-01-31T00:00:00.000Z"
CERTIFICATE = "/v1/host/certificate"


@pytest.fixture
def service(start):
    """One of the test's own, since its certificate changes."""
    return start()


def told(api, after, **query):
    """All events behind this one, as (kind, name, type, change), up to that of the server's certificate."""
    found = []
    with api.get("/v1/events", params={"after": after, **query}, stream=True) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data:"):
                event = json.loads(line.removeprefix("data:"))
                found.append((event["kind"], event["name"], event["type"], event["change"]))
                if event["type"] == "certificate":
                    break
    return found


def change_all(api, folder):
    """Each change of who may do what; and the id of the event before."""
    first = api.get("/v1/host").headers["Skep-Event-Id"]
    pems = [self_signed(folder, name)[1].read_text() for name in ("robot", "another")]
    scope = {"prefix": "ci-", "quotas": {"guests": 2}}
    for path, body in (
        ("tokens/ci", {"role": "operator", "scope": scope, "expires_at": LATER}),
        ("tokens/ci", {"role": "operator", "scope": scope, "expires_at": LATER}),
        ("tokens/ci", {"role": "viewer"}),
        ("tokens/ci?rotate=true", {"role": "viewer"}),
        ("tokens/ci?dry_run=true", {"role": "admin"}),
        ("client-certificates/robot", {"role": "viewer", "certificate": pems[0]}),
        ("client-certificates/robot", {"role": "viewer", "certificate": pems[1]}),
    ):
        api.ok("PUT", "/v1/" + path, json=body)
    api.ok("DELETE", "/v1/tokens/ci")
    api.ok("DELETE", "/v1/client-certificates/robot")
    return first


def test_who_may_do_what(service, tmp_path):
    """Admins are told, and nobody else; the certificate is everybody's to see."""
    wishes = {
        "chief": {"role": "admin"},
        "worker": {"role": "operator"},
        "eye": {"role": "viewer"},
        "scoped": {"role": "operator", "scope": {"prefix": "ci-"}},
    }
    secrets = {name: service.api.ok("PUT", "/v1/tokens/" + name, json=wish)["token"] for name, wish in wishes.items()}
    first = change_all(service.api, tmp_path)
    fingerprint = service.api.ok("POST", CERTIFICATE + "/renew")["fingerprint"]
    last = ("host", None, "certificate", {"origin": "self-signed", "fingerprint": fingerprint})
    everything = [
        ("tokens", "ci", "created", {"role": "operator", "renewed": True, "prefix": "ci-", "expires_at": LATER}),
        ("tokens", "ci", "changed", {"role": "viewer", "renewed": False}),
        ("tokens", "ci", "changed", {"role": "viewer", "renewed": True}),
        ("client-certificates", "robot", "created", {"role": "viewer", "renewed": True}),
        ("client-certificates", "robot", "changed", {"role": "viewer", "renewed": True}),
        ("tokens", "ci", "deleted", {}),
        ("client-certificates", "robot", "deleted", {}),
        last,
    ]
    for name, secret in (*secrets.items(), ("admin", service.token)):
        with skep.Api(service.port, secret) as caller:
            assert told(caller, first) == (everything if name in ("admin", "chief") else [last]), name


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_tokens_asked_for_by_kind(service, tmp_path, role):
    """What is asked for by whoever may not know it is a stream of nothing, also when there is something."""
    secret = service.api.ok("PUT", "/v1/tokens/eye", json={"role": role})["token"]
    first = change_all(service.api, tmp_path)
    with skep.Api(service.port, secret) as eye, skep.Api(service.port, service.token) as admin:
        query = {"after": first, "kind": "tokens"}
        with eye.get("/v1/events", params=query, stream=True) as stream:
            with admin.get("/v1/events", params=query, stream=True) as all_of_it:
                assert "deleted" in next(line for line in all_of_it.iter_lines(decode_unicode=True) if "deleted" in line)
            # It ends with the token: nothing was told until then.
            service.api.ok("DELETE", "/v1/tokens/eye")
            received = b""
            with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
                for piece in stream.iter_content(chunk_size=None):
                    received += piece
            assert b"event:" not in received and b"retry:" in received


def test_an_installed_certificate(service, tmp_path):
    first = service.api.get("/v1/host").headers["Skep-Event-Id"]
    key, pem = self_signed(tmp_path, "server")
    seen = service.api.ok("PUT", CERTIFICATE, json={"certificate": pem.read_text(), "key": key.pem()})
    expected = {"origin": "installed", "fingerprint": seen["fingerprint"]}
    with skep.Api(service.port, service.token) as api:
        assert told(api, first) == [("host", None, "certificate", expected)]
