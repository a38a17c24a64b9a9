"""What the audit trail says of each change: what GET showed before, and shows after it, and no secret."""

import hashlib
import json

import pytest

from authority import self_signed
from conftest import MIB

SECRET = "pssst-this-is-secret"
FIELDS = ("id", "time", "method", "path", "caller", "status", "value", "value_before", "value_after", "detail", "previous")
FILES = [{"path": "/open", "content": "shown"}, {"path": "/key", "content": SECRET, "secret": True}]


@pytest.fixture(params=["disk", "memory"])
def service(request, start, elf):
    """One with a disk for its own state, or without."""
    return furnished(start, elf, 16 * MIB if request.param == "disk" else 0)


def furnished(start, elf, disk_bytes):
    service = start(disk_bytes=disk_bytes, volume_bytes=64 * MIB)
    service.api.upload("httpd", elf)
    service.api.ok("PUT", "/v1/disks/0", json={"format": True})
    return service


def digest_of(record):
    """By what docs/api.md says."""
    lines = ["" if record[field] is None else str(record[field]) for field in FIELDS]
    for field in ("before", "after", "cut"):
        lines.append("" if record[field] is None else json.dumps(record[field], separators=(",", ":"), ensure_ascii=False))
    return hashlib.sha512("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:64]


def last_record(api):
    page = api.ok("GET", "/v1/audit", params={"after": api.ok("GET", "/v1/audit?limit=1")["last"] - 1})
    assert page["valid"]
    (record,) = page["items"]
    assert record["digest"] == digest_of(record) and record["version"] == 2
    return record


def shown(api, path):
    """What a record has of it: a guest's or app's spec, and what doesn't change by itself of all else."""
    answer = api.get(path)
    if answer.status_code == 404:
        return None
    value = answer.json()
    if "spec" in value:
        return value["spec"]
    return {name: what for name, what in value.items() if name not in ("status", "expired", "last_used_at")}


def changes(folder):
    """Path, method, body of calls that change something, one after the other."""
    pem = self_signed(folder, "robot")[1].read_text()
    web = {"image": "httpd", "env": {"A": "ä\n\u0001"}, "files": FILES, "desired_state": "stopped"}
    yield "/v1/volumes/db", "PUT", {"size_bytes": MIB}
    yield "/v1/volumes/db", "PATCH", {"size_bytes": 2 * MIB, "limits": {"iops": 5}, "labels": {"a": "b"}}
    yield "/v1/volumes/shot", "PUT", {"snapshot_of": "db"}
    yield "/v1/volumes/shot", "DELETE", None
    yield "/v1/guests/web", "PUT", web
    yield "/v1/guests/web", "PATCH", {"weight": 7}
    yield "/v1/guests/web", "PUT", {**web, "files": FILES[:1]}
    yield "/v1/guests/web", "DELETE", None
    yield "/v1/tokens/ci", "PUT", {"role": "viewer"}
    yield "/v1/tokens/ci", "PUT", {"role": "operator", "scope": {"prefix": "ci-"}}
    yield "/v1/tokens/ci?rotate=true", "PUT", {"role": "operator"}
    yield "/v1/tokens/ci", "DELETE", None
    yield "/v1/client-certificates/robot", "PUT", {"role": "viewer", "certificate": pem}
    yield "/v1/client-certificates/robot", "DELETE", None
    yield "/v1/images/httpd", "PATCH", {"labels": {"a": "b"}}
    yield "/v1/images/httpd", "DELETE", None


def test_each_change(service, tmp_path):
    api, secrets = service.api, [SECRET, service.token]
    kept = api.ok("GET", "/v1/host")["storage"]["state"] == "ready"
    for path, method, body in changes(tmp_path):
        plain = path.partition("?")[0]
        before = shown(api, plain)
        answer = api.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        secrets += [answer.json()["token"]] if answer.content and "token" in answer.json() else []
        record = last_record(api)
        assert (record["method"], record["path"]) == (method, plain)
        assert (record["before"], record["after"], record["cut"]) == (before, shown(api, plain), None), record
        # That of a value of the store goes along with it, all others are written by themselves.
        assert (record["value"] is not None) == (kept and "volumes" not in plain), record
    text = api.get("/v1/audit").text
    assert len(secrets) == 4 and not any(secret in text for secret in secrets)


def test_refused(service):
    """What isn't done has no values; it has what was said, which a client could put a secret into, nowhere."""
    service.api.ok("PUT", "/v1/volumes/db", json={"size_bytes": MIB})
    for body in ({"size_bytes": 4096}, {"size_bytes": MIB, "limits": SECRET}, {SECRET: 1}):
        assert service.api.put("/v1/volumes/db", json=body).status_code == 422
        record = last_record(service.api)
        assert record["status"] == 422 and record["before"] is record["after"] is record["cut"] is None
        assert SECRET not in str(record)


def test_what_is_cut(service):
    """The largest members, and it is said which."""
    api = service.api
    api.create("web", image="httpd", env={"A": "x" * 2000}, desired_state="stopped")
    record = last_record(api)
    spec = shown(api, "/v1/guests/web")
    assert record["cut"] == ["after.env"] and record["before"] is None
    assert record["after"] == {name: value for name, value in spec.items() if name != "env"}
    api.ok("PATCH", "/v1/guests/web", json={"files": [{"path": "/big", "content": "y" * 32768}]})
    record = last_record(api)
    assert record["cut"] == ["before.env", "after.files", "after.env"]
    assert record["after"] == {name: value for name, value in spec.items() if name not in ("env", "files")}


def test_app(start, elf):
    api = furnished(start, elf, 16 * MIB).api
    small = {"guests": {"shop": {"image": "httpd"}}, "volumes": {"shop-db": {"size_bytes": MIB}}}
    api.ok("PUT", "/v1/apps/shop", json=small)
    record = last_record(api)
    assert record["path"] == "/v1/apps/shop" and record["before"] is None
    assert record["after"] == shown(api, "/v1/apps/shop")
    several = {f"shop-{number}": {"image": "httpd", "desired_state": "stopped"} for number in range(4)}
    before = shown(api, "/v1/apps/shop")
    api.ok("PUT", "/v1/apps/shop", json={**small, "guests": {**small["guests"], **several}})
    record = last_record(api)
    assert record["before"] == before and record["cut"]
    assert {name.rpartition(".")[0] for name in record["cut"]} == {"after.guests"}


def test_certificate_and_disk(service):
    api, path = service.api, "/v1/host/certificate"
    before = api.ok("GET", path)
    api.ok("POST", path + "/renew")
    record = last_record(api)
    assert (record["before"], record["after"]) == (before, api.ok("GET", path))
    records = api.ok("GET", "/v1/audit")["items"]
    formatted = next(record for record in records if record["path"] == "/v1/disks/0")
    disk = api.ok("GET", "/v1/disks/0")
    assert formatted["before"]["state"] == "unformatted" and formatted["after"]["uuid"] == disk["uuid"]
    assert set(formatted["after"]) == {"id", "state", "content", "serial", "size_bytes", "uuid", "formatted_at", "volumes"}


def test_long_trail(service):
    """Pages end when they are long enough; who goes on gets all of it."""
    api, seen = service.api, []
    api.create("web", image="httpd", env={"A": "x" * 700}, desired_state="stopped")
    for number in range(60):
        api.ok("PATCH", "/v1/guests/web", json={"weight": 1 + number})
    page = api.ok("GET", "/v1/audit")
    end = page["last"]
    while page["items"]:
        assert page["valid"] and len(json.dumps(page)) < 300_000
        seen += [record["id"] for record in page["items"]]
        page = api.ok("GET", "/v1/audit", params={"after": seen[-1]})
    assert seen == list(range(page["first"], end + 1))
