"""What ?dry_run=true says is what the change then does, and it does nothing itself."""

import pytest

import skep
from authority import Authority, Key, self_signed
from conftest import CONTRACT, MIB


def everything(api):
    """All that a change could change, and the number of records of changes."""
    specs = {item["name"]: item["spec"] for item in api.ok("GET", "/v1/guests")["items"]}
    volumes = {item["name"]: {**item, "status": None} for item in api.ok("GET", "/v1/volumes")["items"]}
    others = [api.ok("GET", f"/v1/{kind}") for kind in ("images", "tokens", "client-certificates")]
    return specs, volumes, others, api.ok("GET", "/v1/audit")["last"]


@pytest.fixture
def thing(api):
    """A guest and a volume of this name, which are gone in the end."""
    api.create("thing", image="httpd", memory_bytes=8 * MIB, max_vcpus=2, args=[f"used={4 * MIB}"])
    api.ok("PUT", "/v1/volumes/thing", json={"size_bytes": 2 * MIB})
    yield api
    for path in ("guests/new", "guests/thing", "volumes/new", "volumes/thing"):
        assert api.delete(f"/v1/{path}").status_code in (204, 404)


def both(api, method, path, body, query=None):
    """The answers of the dry run and of the change itself; nothing may change in between."""
    before, kind = everything(api), "data" if isinstance(body, bytes) else "json"
    foreseen = api.request(method, path, params={**(query or {}), "dry_run": "true"}, **{kind: body})
    assert everything(api) == before
    return foreseen, api.request(method, path, params=query, **{kind: body})


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
    "ipv6": ("PUT", "new", {"image": "httpd", "networks": [{"address": "dhcp", "address6": "auto", "dns": "fd00::53"}]}, "created"),
    "wrong-ipv6": ("PUT", "new", {"image": "httpd", "networks": [{"address": "dhcp", "address6": "fd00::1"}]}, 422),
    "no-volume": ("PUT", "new", {"image": "httpd", "volumes": [{"name": "none"}]}, 422),
    "circle": ("PATCH", "thing", {"start_after": ["thing"]}, 422),
    "not-there": ("PATCH", "new", {}, 404),
}  # fmt: skip
VOLUMES = {
    "new": ("PUT", "new", {"size_bytes": MIB, "limits": {"iops": 5}, "labels": {"a": "b"}}, "created"),
    "clone": ("PUT", "new", {"clone_of": "thing", "size_bytes": 4 * MIB}, "created"),
    "snapshot": ("PUT", "new", {"snapshot_of": "thing"}, "created"),
    "same": ("PUT", "thing", {"size_bytes": 2 * MIB}, "none"),
    "nothing": ("PATCH", "thing", {}, "none"),
    "larger": ("PATCH", "thing", {"size_bytes": 3 * MIB}, "applied"),
    "limits": ("PATCH", "thing", {"limits": {"iops": 9, "bytes_burst": 4096}}, "applied"),
    "labels": ("PATCH", "thing", {"labels": {"a": "b"}}, "applied"),
    "no-labels": ("PATCH", "thing", {"labels": {"A": "b"}}, 422),
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


def succeeds(foreseen, done, expected):
    """Whether the change is one, as foreseen; else both have the same problem."""
    if isinstance(expected, int):
        assert (foreseen.status_code, done.status_code) == (expected, expected), (foreseen.text, done.text)
        assert foreseen.json() == done.json()
        return False
    assert foreseen.status_code == 200 and done.status_code == (201 if expected == "created" else 200), done.text
    assert "ETag" not in foreseen.headers and "ETag" in done.headers
    return True


def compare(foreseen, done, expected, parts):
    if not succeeds(foreseen, done, expected):
        return
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
    compare(foreseen, done, expected, ("name", "kind", "disk", "size_bytes", "copy_of", "limits", "labels"))
    if expected == "created":
        assert foreseen.json()["uuid"] is foreseen.json()["created_at"] is None


def compare_named(foreseen, done, expected):
    """Of what says only in a dry run what becomes of it. What is to be made has no time, and no secret."""
    if not succeeds(foreseen, done, expected):
        return
    made = done.json()
    made.pop("token", None)
    for name in ("made_at", "uploaded_at"):
        if foreseen.json().get(name, 0) is None:
            made[name] = None
    assert foreseen.json() == {**made, "change": expected}


LATER = "2099-01-31T00:00:00.000Z"
SCOPE = {"prefix": "ci-", "quotas": {"guests": 2}}
TOKENS = {
    "new": ("new", {"role": "viewer"}, {}, "created"),
    "new-with-all": ("new", {"role": "operator", "scope": SCOPE, "expires_at": LATER}, {}, "created"),
    "same": ("thing", {"role": "viewer"}, {}, "none"),
    "more": ("thing", {"role": "admin"}, {}, "applied"),
    "new-secret": ("thing", {"role": "viewer"}, {"rotate": "true"}, "applied"),
    "wrong-role": ("thing", {"role": "king"}, {}, 422),
    "in-the-past": ("new", {"role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}, {}, 422),
    "of-the-boot": ("admin", {"role": "viewer"}, {}, 409),
    "of-another-kind": ("robot", {"role": "viewer"}, {}, 409),
}  # fmt: skip
CLIENTS = {
    "new": ("new", {"role": "viewer", "certificate": 1}, "created"),
    "same": ("robot", {"role": "viewer"}, "none"),
    "more": ("robot", {"role": "operator"}, "applied"),
    "another": ("robot", {"role": "viewer", "certificate": 1}, "applied"),
    "taken": ("new", {"role": "viewer", "certificate": 0}, 409),
    "none": ("new", {"role": "viewer"}, 422),
    "broken": ("new", {"role": "viewer", "certificate": "PEM"}, 422),
}


@pytest.fixture
def callers(api, tmp_path):
    """A token and a client's certificate, and PEM of two."""
    pems = [self_signed(tmp_path, f"robot-{number}")[1].read_text() for number in range(2)]
    api.ok("PUT", "/v1/tokens/thing", json={"role": "viewer"})
    api.ok("PUT", "/v1/client-certificates/robot", json={"role": "viewer", "certificate": pems[0]})
    yield pems
    for path in ("tokens/new", "tokens/thing", "client-certificates/new", "client-certificates/robot"):
        assert api.delete(f"/v1/{path}").status_code in (204, 404)


@pytest.mark.parametrize("name, body, query, expected", TOKENS.values(), ids=TOKENS)
def test_tokens(api, callers, name, body, query, expected):
    compare_named(*both(api, "PUT", f"/v1/tokens/{name}", body, query), expected)


@pytest.mark.parametrize("name, body, expected", CLIENTS.values(), ids=CLIENTS)
def test_client_certificates(api, callers, name, body, expected):
    if isinstance(body.get("certificate"), int):
        body = {**body, "certificate": callers[body["certificate"]]}
    compare_named(*both(api, "PUT", f"/v1/client-certificates/{name}", body), expected)


@pytest.mark.parametrize("name, cut, expected", [("new", 0, "created"), ("httpd", 0, "none"), ("httpd", -1, 409), ("new", 100, 422)])
def test_images(api, elf, name, cut, expected):
    data = elf[:cut] if cut > 0 else elf + bytes(-cut)
    compare_named(*both(api, "PUT", f"/v1/images/{name}", data), expected)
    assert api.delete("/v1/images/new").status_code in (204, 404)


DISKS = {
    "again": ({"format": True, "force": True}, 200),
    "without-force": ({"format": True}, 409),
    "unsaid": ({"force": True}, 422),
    "wrong-field": ({"format": True, "quick": True}, 422),
}


@pytest.mark.parametrize("body, expected", DISKS.values(), ids=DISKS)
def test_disks(start, body, expected):
    api = start(volume_bytes=64 * MIB).api
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    for name in ("db", "log"):
        api.ok("PUT", "/v1/volumes/" + name, json={"size_bytes": MIB})
    foreseen, done = both(api, "PUT", "/v1/disks/0", body)
    assert (foreseen.status_code, done.status_code) == (expected, expected)
    if expected != 200:
        assert foreseen.json() == done.json()
        return
    told = foreseen.json()
    assert told.pop("lost_volumes") == ["db", "log"] and told["uuid"] is told["formatted_at"] is None
    for name in ("state", "content", "volumes", "chunk_bytes", "capacity_bytes", "promised_bytes", "used_bytes", "damage"):
        assert told[name] == done.json()[name], name


def test_disk_never_formatted(start):
    api = start(volume_bytes=64 * MIB).api
    foreseen = api.ok("PUT", "/v1/disks/0?dry_run=true", json={"format": True})
    assert foreseen["state"] == "online" and foreseen["lost_volumes"] == []
    assert api.ok("GET", "/v1/disks/0")["state"] == "unformatted"
    assert api.ok("PUT", "/v1/disks/0", json={"format": True})["capacity_bytes"] == foreseen["capacity_bytes"]


def test_disk_in_use(thing):
    thing.create("new", image="httpd", volumes=[{"name": "thing"}])
    thing.wait_state("new", "running")
    for body in ({"format": True}, {"format": True, "force": True}):
        foreseen, done = both(thing, "PUT", "/v1/disks/0", body)
        assert (foreseen.status_code, done.status_code) == (409, 409) and foreseen.json() == done.json()


def put_data(api, data, name="thing", **options):
    """The answers of the dry run and of the change itself."""
    before = api.get("/v1/volumes/thing/data").content
    foreseen = api.put(f"/v1/volumes/{name}/data?dry_run=true", data=data, **options)
    assert api.get("/v1/volumes/thing/data").content == before
    return foreseen, api.put(f"/v1/volumes/{name}/data", data=data, **options)


def test_volume_data(thing):
    for name, data, digest, expected in (
        ("thing", b"\1" * 2 * MIB, None, 200),
        ("thing", bytes(2 * MIB), None, 200),
        ("thing", b"\2" * 2 * MIB, "sha256:" + "0" * 64, 422),
        ("thing", b"short", None, 422),
        ("none", b"\3", None, 404),
    ):
        headers = {"Skep-Digest": digest} if digest else {}
        foreseen, done = put_data(thing, data, name, headers=headers)
        assert (foreseen.status_code, done.status_code) == (expected, expected), (foreseen.text, done.text)
        if expected == 200 or not digest:
            assert foreseen.json() == done.json()
        else:
            assert foreseen.json()["detail"].replace("would have", "has") == done.json()["detail"]


def test_data_of_a_volume_that_can_not_be_written(thing):
    """They are small, so that who is refused has sent all of it."""
    thing.ok("PUT", "/v1/volumes/new", json={"size_bytes": 65536})
    thing.ok("PUT", "/v1/volumes/shot", json={"snapshot_of": "new"})
    thing.create("new", image="httpd", volumes=[{"name": "new"}])
    thing.wait_state("new", "running")
    for name, why in (("new", "A guest uses the volume"), ("shot", "it is a snapshot")):
        foreseen, done = put_data(thing, bytes(65536), name)
        assert foreseen.status_code == 409 and why in foreseen.json()["detail"] and foreseen.json() == done.json()
    thing.ok("DELETE", "/v1/volumes/shot")


class Interrupted:
    """A body of 2 MiB, amid which something else is done."""

    def __init__(self, action):
        self.action = action

    def __len__(self):
        return 2 * MIB

    def __iter__(self):
        yield b"\1" * MIB
        self.action()
        yield b"\1" * MIB


def test_data_that_is_not_written_keeps_nobody_out(service, thing):
    """The volume can be had while the data of a dry run comes, and no event tells of that."""
    first = thing.get("/v1/host").headers["Skep-Event-Id"]

    def write():
        with skep.Api(service.port, service.token, thing.fingerprint) as other:
            other.ok("PUT", "/v1/volumes/thing/data", data=b"\2" * 2 * MIB)

    answer = thing.put("/v1/volumes/thing/data?dry_run=true", data=Interrupted(write))
    assert answer.status_code == 200, answer.text
    assert thing.get("/v1/volumes/thing/data").content == b"\2" * 2 * MIB
    with thing.get("/v1/events", params={"after": first, "name": "thing"}, stream=True) as stream:
        lines = (line for line in stream.iter_lines(decode_unicode=True) if line.startswith("event:"))
        assert next(lines) == "event: written"
        thing.ok("PATCH", "/v1/volumes/thing", json={"size_bytes": 3 * MIB})
        assert next(lines) == "event: changed"


def test_certificates(start, tmp_path):
    service = start()
    authority = Authority(tmp_path / "authority")
    key, other = (Key(authority.folder / name, "prime256v1") for name in ("server", "other"))
    chain = authority.sign(key, "skep.example")
    for body, expected in (
        ({"certificate": chain, "key": other.pem()}, 422),
        ({"certificate": chain}, 422),
        ({"key": key.pem()}, 422),
        ({"certificate": "PEM", "key": key.pem()}, 422),
        ({"certificate": chain, "key": key.pem()}, 200),
    ):
        before = service.api.ok("GET", "/v1/host/certificate")
        foreseen = service.api.put("/v1/host/certificate?dry_run=true", json=body)
        assert service.api.ok("GET", "/v1/host/certificate") == before
        assert skep.Api.presented_fingerprint(service.port) == before["fingerprint"].replace(":", "").lower()
        done = service.api.put("/v1/host/certificate", json=body)
        assert (foreseen.status_code, done.status_code) == (expected, expected), foreseen.text
        assert foreseen.json() == done.json()


PASSPHRASE = {"Skep-Passphrase": "correct horse battery"}


def restored(api, data, **query):
    """The answers of the dry run and of the restore itself."""
    before = everything(api), api.ok("GET", "/v1/host")["storage"]["used_bytes"]
    foreseen = api.put("/v1/backup", data=data, headers=PASSPHRASE, params={**query, "dry_run": "true"})
    assert (everything(api), api.ok("GET", "/v1/host")["storage"]["used_bytes"]) == before
    assert api.ok("GET", "/v1/host")["power"] == "on"
    return foreseen, api.put("/v1/backup", data=data, headers=PASSPHRASE, params=query)


@pytest.fixture
def full(start, elf):
    """A machine with what a backup has, and its file with the images' files."""
    api = start(disk_bytes=16 * MIB, volume_bytes=64 * MIB).api
    api.upload("httpd", elf)
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    api.ok("PUT", "/v1/volumes/db", json={"size_bytes": MIB})
    api.ok("PUT", "/v1/volumes/shot", json={"snapshot_of": "db"})
    api.create("web", image="httpd", volumes=[{"name": "db"}])
    return api, api.ok("GET", "/v1/backup?images=true", headers=PASSPHRASE)


def test_backup_of_another_machine(start, full):
    api = start(disk_bytes=16 * MIB, volume_bytes=64 * MIB).api
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    foreseen, done = restored(api, full[1])
    assert (foreseen.status_code, done.status_code) == (200, 200), foreseen.text
    assert foreseen.json() == done.json()
    assert foreseen.json()["made_volumes"] == ["db"] and foreseen.json()["missing"]["volumes"][0]["name"] == "shot"


def test_backup_that_replaces(full):
    api, data = full
    foreseen, done = restored(api, data)
    assert (foreseen.status_code, done.status_code) == (409, 409) and foreseen.json() == done.json()
    foreseen, done = restored(api, data, replace="true", identity="true")
    assert (foreseen.status_code, done.status_code) == (200, 202), done.text
    assert foreseen.json() == done.json() and done.json()["power"] == "rebooting"


@pytest.mark.parametrize("spoil, expected", [("words", 403), ("bit", 422), ("end", 422)])
def test_backup_that_is_none(start, full, spoil, expected):
    api, data = start(disk_bytes=16 * MIB).api, full[1]
    words = {"Skep-Passphrase": "another passphrase"} if spoil == "words" else PASSPHRASE
    data = {"words": data, "bit": data[:-1] + bytes([data[-1] ^ 1]), "end": data[:-1]}[spoil]
    answer = api.put("/v1/backup?dry_run=true", data=data, headers=words)
    assert answer.status_code == expected, answer.text


def test_conditions_hold_in_a_dry_run(thing, callers):
    for kind, body in (("guests", {"image": "httpd"}), ("volumes", {"size_bytes": 2 * MIB}), ("tokens", {"role": "viewer"})):
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
