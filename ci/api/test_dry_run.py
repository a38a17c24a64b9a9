"""What ?dry_run=true says is what the change then does, and it does nothing itself."""

import pytest

from conftest import CONTRACT, MIB


def everything(api):
    """All that a change could change, and the number of records of changes."""
    specs = {item["name"]: item["spec"] for item in api.ok("GET", "/v1/guests")["items"]}
    volumes = {item["name"]: {**item, "status": None} for item in api.ok("GET", "/v1/volumes")["items"]}
    return specs, volumes, api.ok("GET", "/v1/images"), api.ok("GET", "/v1/audit")["last"]


@pytest.fixture
def thing(api):
    """A guest and a volume of this name, which are gone in the end."""
    api.create("thing", image="httpd", memory_bytes=8 * MIB, max_vcpus=2, args=[f"used={4 * MIB}"])
    api.ok("PUT", "/v1/volumes/thing", json={"size_bytes": 2 * MIB})
    yield api
    for path in ("guests/new", "guests/thing", "volumes/new", "volumes/thing"):
        assert api.delete(f"/v1/{path}").status_code in (204, 404)


def both(api, method, path, body):
    """The answers of the dry run and of the change itself; nothing may change in between."""
    before = everything(api)
    foreseen = api.request(method, path, params={"dry_run": "true"}, json=body)
    assert everything(api) == before
    return foreseen, api.request(method, path, json=body)


BASE = {"image": "httpd", "memory_bytes": 8 * MIB, "max_vcpus": 2, "args": [f"used={4 * MIB}"]}
GUESTS = {
    "new": ("PUT", "new", {"image": "httpd", "labels": {"a": "b"}}, "created"),
    "new-stopped": ("PUT", "new", {"image": "httpd", "desired_state": "stopped"}, "created"),
    "new-with-files": ("PUT", "new", {"image": "httpd", "files": [
        {"path": "/a", "content": "x"}, {"path": "/b", "content": "s", "secret": True}]}, "created"),
    "same": ("PUT", "thing", BASE, "none"),
    "nothing": ("PATCH", "thing", {}, "none"),
    "wishes": ("PATCH", "thing", {"restart": "always", "labels": {"a": "b"}}, "applied"),
    "live": ("PATCH", "thing", {"weight": 7, "vcpus": 2, "memory_bytes": 16 * MIB}, "applied"),
    "another": ("PATCH", "thing", {"args": ["print=x"]}, "replacing"),
    "no-image": ("PUT", "new", {"image": "none"}, 422),
    "wrong-field": ("PATCH", "thing", {"weight": "much"}, 422),
    "too-much-memory": ("PUT", "new", {"image": "httpd", "memory_bytes": 1 << 39}, 409),
    "too-little-memory": ("PATCH", "thing", {"memory_bytes": 2 * MIB}, 409),
    "own-address": ("PUT", "new", {"image": "httpd", "networks": [{"address": "10.0.2.15/24"}]}, 409),
    "no-volume": ("PUT", "new", {"image": "httpd", "volumes": [{"name": "none"}]}, 422),
    "circle": ("PATCH", "thing", {"start_after": ["thing"]}, 422),
    "not-there": ("PATCH", "new", {}, 404),
}  # fmt: skip
VOLUMES = {
    "new": ("PUT", "new", {"size_bytes": MIB, "limits": {"iops": 5}}, "created"),
    "clone": ("PUT", "new", {"clone_of": "thing", "size_bytes": 4 * MIB}, "created"),
    "snapshot": ("PUT", "new", {"snapshot_of": "thing"}, "created"),
    "same": ("PUT", "thing", {"size_bytes": 2 * MIB}, "none"),
    "nothing": ("PATCH", "thing", {}, "none"),
    "larger": ("PATCH", "thing", {"size_bytes": 3 * MIB}, "applied"),
    "limits": ("PATCH", "thing", {"limits": {"iops": 9, "bytes_burst": 4096}}, "applied"),
    "both": ("PUT", "thing", {"size_bytes": 3 * MIB, "limits": {"iops": 9}}, "applied"),
    "overcommitted": ("PUT", "new", {"size_bytes": 1 << 30, "overcommit": True}, "created"),
    "smaller": ("PATCH", "thing", {"size_bytes": MIB}, 422),
    "no-room": ("PUT", "new", {"size_bytes": 1 << 30}, 409),
    "no-room-to-grow": ("PATCH", "thing", {"size_bytes": 1 << 30}, 409),
    "another-origin": ("PUT", "thing", {"clone_of": "db"}, 409),
    "no-source": ("PUT", "new", {"clone_of": "none"}, 422),
    "no-size": ("PUT", "new", {}, 422),
    "no-disk": ("PUT", "new", {"size_bytes": MIB, "disk": "7"}, 422),
    "not-there": ("PATCH", "new", {}, 404),
}


def compare(foreseen, done, expected, parts):
    if isinstance(expected, int):
        assert (foreseen.status_code, done.status_code) == (expected, expected), (foreseen.text, done.text)
        assert foreseen.json() == done.json()
        return
    assert foreseen.status_code == 200 and done.status_code == (201 if expected == "created" else 200), done.text
    assert "ETag" not in foreseen.headers and "ETag" in done.headers
    assert foreseen.json()["change"] == done.json()["change"] == expected
    for part in parts:
        assert foreseen.json()[part] == done.json()[part], part


@pytest.mark.parametrize("method, name, body, expected", GUESTS.values(), ids=GUESTS)
def test_guests(thing, method, name, body, expected):
    foreseen, done = both(thing, method, f"/v1/guests/{name}", body)
    compare(foreseen, done, expected, ("name", "spec"))


@pytest.mark.parametrize("method, name, body, expected", VOLUMES.values(), ids=VOLUMES)
def test_volumes(thing, method, name, body, expected):
    foreseen, done = both(thing, method, f"/v1/volumes/{name}", body)
    compare(foreseen, done, expected, ("name", "kind", "disk", "size_bytes", "copy_of", "limits"))
    if expected == "created":
        assert foreseen.json()["uuid"] is foreseen.json()["created_at"] is None


def test_conditions_hold_in_a_dry_run(thing):
    for kind, body in (("guests", {"image": "httpd"}), ("volumes", {"size_bytes": 2 * MIB})):
        answer = thing.put(f"/v1/{kind}/thing?dry_run=true", json=body, headers={"If-None-Match": "*"})
        assert answer.status_code == 412


@pytest.mark.parametrize("operation", [o for o in CONTRACT.operations if o.method != "GET"], ids=lambda o: o.id)
def test_who_has_none_says_so(thing, operation):
    """A change must not be made by who asks for none, whether the call has dry runs or not."""
    before = everything(thing)
    known = any(parameter["name"] == "dry_run" for parameter in operation.parameters)
    path = operation.template.format(name="thing", id="0")
    for value in ("true", "maybe", "", "1"):
        if value != "true" or not known:
            answer = thing.request(operation.method, path, params={"dry_run": value}, json={})
            assert answer.status_code == 400, answer.text
    assert everything(thing) == before
