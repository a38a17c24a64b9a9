"""The audit trail: what each kind of call leaves, in a chain that anybody can check, over power cuts and without a disk."""

import hashlib
import json

import pytest

import skep
from helpers import MIB, disk_image, example, is_problem
from storage import format_disk, put_data, volume
from test_storage_boots import booted, power_cut

FIELDS = ("id", "time", "method", "path", "caller", "status", "value", "value_before", "value_after", "detail", "previous")
VALUES = ("before", "after", "cut")
SECRET = "pssst-this-is-secret"


def digest_of(record):
    lines = ["" if record[field] is None else str(record[field]) for field in FIELDS]
    for field in VALUES:
        lines.append("" if record[field] is None else json.dumps(record[field], separators=(",", ":"), ensure_ascii=False))
    return hashlib.sha512("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:64]


def trail(api, limit=None):
    """All records, page by page, each checked against the one before it."""
    records, after = [], 0
    while True:
        page = api.ok("GET", "/v1/audit", params={"after": after} | ({"limit": limit} if limit else {}))
        assert page["valid"] is True
        if not page["items"]:
            break
        records += page["items"]
        after = records[-1]["id"]
    assert page["last"] == len(records) and page["first"] == (1 if records else 0)
    previous = "0" * 64
    for number, record in enumerate(records, 1):
        assert record["id"] == number and record["previous"] == previous
        assert record["digest"] == digest_of(record)
        previous = record["digest"]
    assert page["head"] == previous
    return records


def calls(records):
    return [(record["method"], record["path"], record["status"]) for record in records]


def spec(**changes):
    files = [{"path": "/key", "content": SECRET, "secret": True}]
    return {"image": "hello", "memory_bytes": 2 * MIB, "desired_state": "stopped", "files": files} | changes


def make_calls(api):
    """Calls of each kind, and what the trail must have of them."""
    expected = []

    def call(method, path, status, recorded=None, **kwargs):
        response = api.request(method, path, **kwargs)
        assert response.status_code == status, response.text
        expected.append((method, path, recorded or status))

    hello = example("hello").read_bytes()
    call("PUT", "/v1/images/hello", 201, data=hello)
    call("PUT", "/v1/images/spare", 201, data=hello)
    call("PUT", "/v1/images/bad", 422, data=b"nonsense")
    call("DELETE", "/v1/images/spare", 204)
    call("PUT", "/v1/volumes/db", 201, json={"size_bytes": MIB})
    call("PATCH", "/v1/volumes/db", 200, json={"size_bytes": 2 * MIB})
    call("PUT", "/v1/volumes/db/data", 200, data=b"x" * (2 * MIB))
    call("PUT", "/v1/volumes/copy", 201, json={"clone_of": "db"})
    call("DELETE", "/v1/volumes/copy", 204)
    call("PUT", "/v1/guests/web", 201, json=spec())
    call("PATCH", "/v1/guests/web", 200, json={"weight": 7})
    call("PUT", "/v1/guests/web", 422, json=spec(weight=SECRET))
    call("DELETE", "/v1/images/hello", 409)
    call("PUT", "/v1/guests/other", 422, json=spec(image="none"))
    call("PATCH", "/v1/guests/none", 404, json={})
    call("DELETE", "/v1/guests/web", 204, recorded=202)
    call("POST", "/v1/host/reboot", 422, json={"grace": SECRET})
    call("PUT", "/v1/disks/0", 409, json={"format": True})
    return expected


def test_each_kind_of_call(folder, tmp_path):
    """And neither what only reads, nor what changes nothing, nor what comes without the token; and no secret."""
    image = disk_image(tmp_path, "audit", 64 * MIB)
    with booted(folder / "audit-1", [image]) as first:
        api = first.api
        page = api.ok("GET", "/v1/audit")
        assert (page["kept"], page["first"], page["last"], page["items"]) == ("memory", 0, 0, [])
        format_disk(api)
        assert api.ok("GET", "/v1/audit")["kept"] == "disk"
        expected = [("PUT", "/v1/disks/0", 200), *make_calls(api)]
        api.create("web", **spec())
        expected.append(("PUT", "/v1/guests/web", 201))
        for _ in range(2):
            api.create("web", **spec())
            volume(api, "db", size_bytes=2 * MIB)
            api.upload("hello", example("hello"))
            is_problem(api.put("/v1/guests/web", json=spec(), headers={"Authorization": "Bearer no"}), 401)
            is_problem(api.delete("/v1/nowhere"), 404)
            is_problem(api.delete("/v1/guests/UPPER"), 400)
            api.host()
        records = trail(api)
        assert calls(records) == expected
        text = api.get("/v1/audit").text
        assert SECRET not in text and first.token not in text
        for record in records:
            assert record["caller"].startswith("admin 10.0.2.")
            assert record["time"]
        by_path = {(record["method"], record["path"]): record for record in records}
        uploaded = by_path["PUT", "/v1/images/hello"]
        assert uploaded["detail"] == "sha256:" + hashlib.sha256(example("hello").read_bytes()).hexdigest()
        changed = by_path["PATCH", "/v1/guests/web"]
        assert changed["value"] == "guests/web" and changed["value_before"] != changed["value_after"]
        written = by_path["PUT", "/v1/volumes/db/data"]
        assert written["detail"] == "sha256:" + hashlib.sha256(b"x" * (2 * MIB)).hexdigest()
        power_cut(first)
    with booted(folder / "audit-2", [image], known=first) as second:
        api = second.api
        assert trail(api) == trail(api, limit=3) == records
        api.ok("DELETE", "/v1/guests/web")
        assert api.post("/v1/host/shutdown").status_code == 202
        skep.wait_for(lambda: second.process.poll() is not None, "QEMU ends", 30)
    with booted(folder / "audit-3", [image], known=first) as third:
        ended = trail(third.api)
        assert ended[:-2] == records
        assert calls(ended[-2:]) == [("DELETE", "/v1/guests/web", 202), ("POST", "/v1/host/shutdown", 202)]


def test_without_a_disk(folder):
    """The latest are in memory, which the answer says; queries that make no sense are told so."""
    with booted(folder / "audit-memory", []) as machine:
        api = machine.api
        for number in range(300):
            is_problem(api.delete(f"/v1/guests/none-{number}"), 404)
        page = api.ok("GET", "/v1/audit")
        assert page["kept"] == "memory" and page["valid"] is True
        assert page["last"] == 300 and page["first"] == 57
        assert [record["id"] for record in page["items"]] == list(range(57, 257))
        page = api.ok("GET", "/v1/audit", params={"after": 298})
        assert [record["path"] for record in page["items"]] == ["/v1/guests/none-298", "/v1/guests/none-299"]
        assert api.ok("GET", "/v1/audit", params={"after": 2**63})["items"] == []
        for query in ("after=x", "after=-1", "limit=0", "limit=", "after=99999999999999999999999"):
            is_problem(api.get(f"/v1/audit?{query}"), 400)
        is_problem(api.post("/v1/audit"), 405)


@pytest.mark.parametrize("bit", [0, 300, 2000])
def test_a_changed_record_is_found(folder, tmp_path, bit):
    image = disk_image(tmp_path, "tampered", 64 * MIB)
    with booted(folder / f"tampered-{bit}-1", [image]) as first:
        format_disk(first.api)
        volume(first.api, "db", size_bytes=MIB)
        put_data(first.api, "db", bytes(MIB))
        first.api.ok("DELETE", "/v1/volumes/db")
        assert len(trail(first.api)) == 4
        power_cut(first)
    with open(image, "r+b") as file:
        data = file.read()
        at = data.index(b"\n/v1/volumes/db/data\n") // 512 * 512 + bit // 8
        file.seek(at)
        file.write(bytes([data[at] ^ 1 << bit % 8]))
    with booted(folder / f"tampered-{bit}-2", [image], known=first) as second:
        page = second.api.ok("GET", "/v1/audit")
        assert page["valid"] is False
        assert [record["id"] for record in page["items"]][:2] == [1, 2]
