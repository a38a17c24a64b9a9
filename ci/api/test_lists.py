"""Lists in pages, and by labels."""

import pytest

from conftest import MIB

KINDS = ("guests", "images", "volumes", "tokens")
NAMES = ["a", "a-1", "a-2", "b", "zz"]


@pytest.fixture
def many(api, elf):
    for number, name in enumerate(NAMES):
        labels = {"number": str(number), "odd": "yes" if number % 2 else "no"}
        api.upload(name, elf)
        api.ok("PATCH", f"/v1/images/{name}", json={"labels": labels})
        api.ok("PUT", f"/v1/volumes/{name}", json={"size_bytes": 4096, "labels": labels})
        api.ok("PUT", f"/v1/tokens/{name}", json={"role": "viewer"})
        api.create(name, image="httpd", memory_bytes=MIB, desired_state="stopped", labels=labels)
    yield api
    for kind in KINDS:
        for name in NAMES:
            assert api.delete(f"/v1/{kind}/{name}").status_code == 204


def names(api, kind, query=""):
    return [item["name"] for item in api.ok("GET", f"/v1/{kind}{query}")["items"]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pages_make_the_list(many, kind, limit):
    whole, pages, last = names(many, kind), [], ""
    assert whole == sorted(whole) and set(NAMES) < set(whole)
    while page := names(many, kind, f"?limit={limit}" + (f"&after={last}" if last else "")):
        assert len(page) <= limit
        pages += page
        last = page[-1]
    assert pages == whole


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_name_that_is_not_there(many, kind):
    assert names(many, kind, "?after=a-11")[0] == "a-2"
    assert names(many, kind, "?after=zzz") == []
    for query in ("limit=0", "limit=-1", "limit=x", "limit=", "limit=99999999999", "after=UPPER", "after=", "after=%00"):
        assert many.get(f"/v1/{kind}?{query}").status_code == 400, query


def test_pages_of_crashes(api):
    for _ in range(3):
        api.create("again", image="httpd", args=["crash=8"])
        api.wait_state("again", "crashed")
        api.delete_guest("again")
    whole = [item["id"] for item in api.ok("GET", "/v1/crashes")["items"]]
    assert whole == sorted(whole, reverse=True) and len(whole) >= 4
    pages = [api.ok("GET", "/v1/crashes?limit=1")["items"][0]["id"]]
    while page := api.ok("GET", f"/v1/crashes?limit=2&after={pages[-1]}")["items"]:
        pages += [item["id"] for item in page]
    assert pages == whole
    for query in ("limit=0", "after=0", "after=x"):
        assert api.get(f"/v1/crashes?{query}").status_code == 400, query


@pytest.mark.parametrize("kind", ["guests", "images", "volumes"])
def test_by_labels(many, kind):
    assert names(many, kind, "?label=odd=yes") == ["a-1", "b"]
    assert names(many, kind, "?label=odd%3Dno&label=number=4") == ["zz"]
    assert names(many, kind, "?label=odd=no&label=number=1") == []
    assert names(many, kind, "?label=odd=no&limit=1&after=a") == ["a-2"]
    assert names(many, kind, "?label=odd=") == names(many, kind, "?label=nothing=x") == []
    assert names(many, kind, "?label=team=edge") == (["web"] if kind == "guests" else [])
    for query in ("label=odd", "label=", "&".join(["label=a=b"] * 17), "label=a=" + "x" * 200):
        assert many.get(f"/v1/{kind}?{query}").status_code == 400, query


def test_labels_change_while_it_runs(api):
    api.create("labelled", image="httpd", labels={"b": "1", "a": ""})
    started = api.wait_state("labelled", "running")["started_at"]
    spec = api.ok("GET", "/v1/guests/labelled")["spec"]
    assert spec["labels"] == {"a": "", "b": "1"}
    assert api.create("labelled", image="httpd", labels={"a": "", "b": "1"})["change"] == "none"
    changed = api.ok("PATCH", "/v1/guests/labelled", json={"labels": {"b": None, "app/tier": "front"}})
    assert changed["change"] == "applied" and changed["spec"]["labels"] == {"a": "", "app/tier": "front"}
    assert changed["status"]["started_at"] == started
    # With other strings that are kept behind the program's own.
    changed = api.ok("PATCH", "/v1/guests/labelled", json={"start_after": ["web"], "args": ["x"]})
    assert changed["spec"] == {**spec, "labels": {"a": "", "app/tier": "front"}, "start_after": ["web"], "args": ["x"]}
    assert api.ok("PATCH", "/v1/guests/labelled", json={"labels": None})["spec"]["labels"] == {}
    api.delete_guest("labelled")


@pytest.fixture(params=["images", "volumes"])
def labelled(request, api, elf):
    """The path of something without labels, which is gone in the end."""
    path = f"/v1/{request.param}/labelled"
    if request.param == "images":
        api.upload("labelled", elf)
    else:
        api.ok("PUT", path, json={"size_bytes": 65536, "limits": {"iops": 5}})
    yield path
    api.ok("DELETE", path)


def test_labels_change(api, labelled):
    first = api.get(labelled)
    assert first.json()["labels"] == {}
    changed = api.patch(labelled, json={"labels": {"b": "1", "a": ""}})
    assert changed.json()["change"] == "applied" and changed.headers["ETag"] != first.headers["ETag"]
    assert list(changed.json()["labels"].items()) == [("a", ""), ("b", "1")]
    event = api.ok("GET", "/v1/audit")["last"]
    assert api.ok("PATCH", labelled, json={"labels": {"b": "1"}})["change"] == "none"
    assert api.ok("PATCH", labelled, json={})["change"] == "none"
    assert api.ok("GET", "/v1/audit")["last"] == event
    foreseen = api.ok("PATCH", labelled + "?dry_run=true", json={"labels": {"b": None, "app/tier": "front"}})
    assert api.ok("GET", labelled)["labels"] == {"a": "", "b": "1"}
    changed = api.ok("PATCH", labelled, json={"labels": {"b": None, "app/tier": "front"}})
    assert changed["change"] == "applied" and changed["labels"] == foreseen["labels"] == {"a": "", "app/tier": "front"}
    stale = api.patch(labelled, json={"labels": None}, headers={"If-Match": first.headers["ETag"]})
    assert stale.status_code == 412
    assert api.ok("PATCH", labelled, json={"labels": None})["labels"] == {}
    # All but the labels is as it was.
    assert api.get(labelled).headers["ETag"] == first.headers["ETag"]


def test_room_for_labels(api, labelled):
    """255 bytes together, with '=' and another one for each."""
    room = {f"name-{i}": "x" * 55 for i in range(4)}
    fits = {**room, "a": ""}
    assert sum(len(name) + len(value) + 2 for name, value in fits.items()) == 255
    assert api.ok("PATCH", labelled, json={"labels": fits})["labels"] == dict(sorted(fits.items()))
    answer = api.patch(labelled, json={"labels": {"a": "y"}})
    assert answer.status_code == 422 and "255 bytes" in answer.json()["detail"]
    assert api.ok("GET", labelled)["labels"] == dict(sorted(fits.items()))


def test_what_puts_do_to_labels(api, elf):
    """Those of a volume are what the body says; a file says nothing of an image's."""
    api.ok("PUT", "/v1/volumes/labelled", json={"size_bytes": 65536, "labels": {"a": "b"}})
    copy = api.ok("PUT", "/v1/volumes/copy", json={"clone_of": "labelled", "labels": {"c": "d"}})
    assert copy["labels"] == {"c": "d"}
    again = api.ok("PUT", "/v1/volumes/labelled", json={"size_bytes": 65536})
    assert again["change"] == "applied" and again["labels"] == {}
    for name in ("copy", "labelled"):
        api.ok("DELETE", f"/v1/volumes/{name}")
    api.upload("labelled", elf)
    api.ok("PATCH", "/v1/images/labelled", json={"labels": {"a": "b"}})
    foreseen = api.put("/v1/images/labelled?dry_run=true", data=elf + b"\0").json()
    replaced = api.upload("labelled", elf + b"\0")
    assert replaced["labels"] == foreseen["labels"] == {"a": "b"} and replaced["digest"] == foreseen["digest"]
    api.ok("DELETE", "/v1/images/labelled")
    assert api.upload("labelled", elf)["labels"] == {}
    for body in ({"size": 1}, [], {"labels": {"a": 1}}):
        answer = api.patch("/v1/images/labelled", json=body)
        assert answer.status_code == 422, answer.text
    assert api.patch("/v1/images/none", json={}).status_code == 404
    api.ok("DELETE", "/v1/images/labelled")


LABELS = {
    "list": ["a"],
    "number": {"a": 1},
    "null": {"a": None},
    "no-name": {"": "x"},
    "large-name": {"A": "x"},
    "name-ends": {"a-": "x"},
    "long-name": {"a" * 64: "x"},
    "equals": {"a=b": "x"},
    "long-value": {"a": "x" * 64},
    "space": {"a": "b c"},
    "line": {"a": "b\n"},
    "many": {f"n{i}": "x" for i in range(17)},
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_that_are_none(api, labels):
    answer = api.put("/v1/guests/labelled", json={"image": "httpd", "labels": labels})
    assert answer.status_code == 422 and "labels" in answer.json()["detail"]
    answer = api.put("/v1/volumes/labelled", json={"size_bytes": 4096, "labels": labels})
    assert answer.status_code == 422 and "labels" in answer.json()["detail"]


def test_labels_and_other_strings_have_room_together(api):
    labels = {f"name-{i:02}": "x" * 63 for i in range(16)}
    args = ["y" * 1800]
    answer = api.put("/v1/guests/labelled", json={"image": "httpd", "labels": labels, "args": args})
    assert answer.status_code == 201, answer.text
    answer = api.patch("/v1/guests/labelled", json={"args": ["y" * 2000]})
    assert answer.status_code == 422 and "3072" in answer.json()["detail"]
    api.delete_guest("labelled")


def basic(guest):
    """What view=basic leaves of a guest that does nothing meanwhile."""
    words = ("state", "addresses", "started_at", "cpu_time_ns", "memory_promised_bytes", "memory_used_bytes", "restarts")
    status = {word: guest["status"][word] for word in words}
    return {"name": guest["name"], "spec": {"image": guest["spec"]["image"]}, "status": status}


def test_a_list_in_short(many):
    many.create("paused", image="a", desired_state="paused", networks=[{"address": "10.0.2.77/24"}, {"address": "10.0.3.7/24"}])

    def quiet(query):
        return [guest for guest in many.ok("GET", f"/v1/guests{query}")["items"] if guest["status"]["state"] != "running"]

    full = quiet("")
    assert "paused" in [guest["name"] for guest in full]
    assert quiet("?view=full") == full
    assert quiet("?view=basic") == [basic(guest) for guest in full]
    assert many.ok("GET", "/v1/guests?view=basic&label=odd=perhaps")["items"] == []
    shorter = many.ok("GET", "/v1/guests?view=basic&limit=1&after=a-1&label=odd=no")["items"]
    assert shorter == [basic(guest) for guest in full if guest["name"] == "a-2"]
    many.delete_guest("paused")
    for query in ("view=", "view=brief", "view=basic0"):
        assert many.get(f"/v1/guests?{query}").status_code == 400, query
