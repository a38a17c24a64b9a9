"""Changes that are made only of what the client has seen: ETag, If-Match, If-None-Match."""

import concurrent.futures

import pytest

from conftest import CONTRACT, MIB

KINDS = ("guests", "images", "volumes")


@pytest.fixture
def put(api, elf):
    """Puts the first or the second version of a thing called "thing", which is gone in the end."""

    def do(kind, version=0, **headers):
        body = {
            "guests": {"json": {"image": "httpd", "desired_state": "stopped", "weight": 100 + version}},
            "images": {"data": elf + bytes(version)},
            "volumes": {"json": {"size_bytes": (1 + version) * MIB}},
        }[kind]
        return api.put(f"/v1/{kind}/thing", headers=headers, **body)

    yield do
    for kind in KINDS:
        assert api.delete(f"/v1/{kind}/thing").status_code in (204, 404)


def etag(api, kind):
    response = api.get(f"/v1/{kind}/thing")
    return response.headers["ETag"] if response.status_code == 200 else None


def test_the_document_names_who_has_conditions():
    things = {"/v1/apps/{name}", "/v1/guests/{name}", "/v1/images/{name}", "/v1/volumes/{name}"}
    for operation in CONTRACT.operations:
        names = {parameter["name"] for parameter in operation.parameters}
        conditional = operation.template in things and operation.method != "GET"
        assert (conditional, conditional) == ("If-Match" in names, "412" in operation.responses), operation.id


@pytest.mark.parametrize("kind", KINDS)
def test_tags_follow_what_is_wished(api, put, kind):
    first = put(kind)
    assert first.status_code == 201
    assert first.headers["ETag"] == etag(api, kind) == api.head(f"/v1/{kind}/thing").headers["ETag"]
    assert put(kind).headers["ETag"] == first.headers["ETag"]
    second = put(kind, 1)
    assert second.status_code in (200, 201) and second.headers["ETag"] == etag(api, kind) != first.headers["ETag"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_not_there(api, put, kind):
    assert put(kind, **{"If-None-Match": "*"}).status_code == 201
    known = etag(api, kind)
    assert put(kind, 1, **{"If-None-Match": "*"}).status_code == 412
    assert put(kind, 1, **{"If-None-Match": f'"x", W/{known}'}).status_code == 412
    assert etag(api, kind) == known
    assert put(kind, 1, **{"If-None-Match": '"x"'}).status_code in (200, 201)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_was_seen(api, put, kind):
    assert put(kind, **{"If-Match": "*"}).status_code == 412
    assert put(kind, **{"If-Match": '"x"'}).status_code == 412
    assert etag(api, kind) is None
    put(kind)
    known = etag(api, kind)
    for stale in ('"x"', f"W/{known}", f'"x", W/{known}', '""'):
        assert put(kind, 1, **{"If-Match": stale}).status_code == 412
        assert api.delete(f"/v1/{kind}/thing", headers={"If-Match": stale}).status_code == 412
        if kind != "images":
            assert api.patch(f"/v1/{kind}/thing", json={}, headers={"If-Match": stale}).status_code == 412
    assert etag(api, kind) == known
    assert put(kind, 1, **{"If-Match": f'"x" ,\t{known},"y"'}).status_code in (200, 201)
    assert api.delete(f"/v1/{kind}/thing", headers={"If-Match": known}).status_code == 412
    assert api.delete(f"/v1/{kind}/thing", headers={"If-Match": etag(api, kind)}).status_code == 204
    assert api.delete(f"/v1/{kind}/thing", headers={"If-Match": "*"}).status_code == 404


@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["x", '"x', '"x" "y"', '*, "x"', "W/x", ",", "**"])
@pytest.mark.parametrize("kind", KINDS)
def test_conditions_that_are_none(api, put, kind, field, value):
    assert put(kind, **{field: value}).status_code == 400
    assert etag(api, kind) is None


def test_counters_leave_the_tag_alone(api, put):
    """It is of the spec: a guest that runs, ends and is asked for again has the same one."""
    api.create("thing", image="httpd", args=["exit=0"])
    known = etag(api, "guests")
    api.wait_state("thing", "exited")
    assert etag(api, "guests") == known


def test_contents_of_secrets_count(api, put):
    def secret(content):
        return [{"path": "/key", "content": content, "secret": True}]

    api.create("thing", image="httpd", files=secret("one"))
    first = etag(api, "guests")
    api.ok("PATCH", "/v1/guests/thing", json={"files": secret("two")})
    assert etag(api, "guests") != first


@pytest.mark.parametrize("kind", ["guests", "volumes"])
def test_one_of_many_wins(api, put, kind):
    put(kind)
    known = etag(api, kind)

    def change(n):
        body = {"weight": 200 + n} if kind == "guests" else {"size_bytes": (2 + n) * MIB}
        return api.patch(f"/v1/{kind}/thing", json=body, headers={"If-Match": known}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(8)))
    assert statuses == [200] + [412] * 7
