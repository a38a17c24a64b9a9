"""Changes that are made only of what the client has seen: ETag, If-Match, If-None-Match."""

import concurrent.futures

import pytest

import skep
from authority import self_signed
from conftest import CONTRACT, MIB

KINDS = ("guests", "images", "volumes", "tokens", "client-certificates")
PATCHED = ("guests", "images", "volumes")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("client"), "thing")[1].read_text()


@pytest.fixture
def put(api, elf, certificate):
    """Puts the first or the second version of a thing called "thing", which is gone in the end."""

    def do(kind, version=0, **headers):
        body = {
            "guests": {"json": {"image": "httpd", "desired_state": "stopped", "weight": 100 + version}},
            "images": {"data": elf + bytes(version)},
            "volumes": {"json": {"size_bytes": (1 + version) * MIB}},
            "tokens": {"json": {"role": ("viewer", "operator")[version]}},
            "client-certificates": {"json": {"role": ("viewer", "operator")[version], "certificate": certificate}},
        }[kind]
        return api.put(f"/v1/{kind}/thing", headers=headers, **body)

    yield do
    for kind in KINDS:
        assert api.delete(f"/v1/{kind}/thing").status_code in (204, 404)


def etag(api, kind):
    response = api.get(f"/v1/{kind}/thing")
    return response.headers["ETag"] if response.status_code == 200 else None


def test_the_document_names_who_has_conditions():
    things = {f"/v1/{kind}/{{name}}" for kind in ("apps", *KINDS)}
    for operation in CONTRACT.operations:
        names = {parameter["name"] for parameter in operation.parameters}
        conditional = operation.template in things and operation.method != "GET"
        assert (conditional, conditional) == ("If-Match" in names, "412" in operation.responses), operation.id
        assert ("dry_run" in names) == (operation.method in ("PUT", "PATCH")), operation.id


@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("operation", [o for o in CONTRACT.operations if o.method != "GET" and "412" not in o.responses], ids=lambda o: o.id)
def test_conditions_that_nobody_would_look_at(api, operation, field):
    """They are to prevent changes, so none is made."""
    if not operation.is_debug:
        path = operation.template.format(name="db", id="0")
        answer = api.request(operation.method, path, json={}, headers={field: "*", "Skep-Passphrase": "correct horse battery"})
        assert answer.status_code == 400 and "no conditions" in answer.json()["detail"], answer.text


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
        if kind in PATCHED:
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


def test_a_new_secret_is_another_tag(api, put):
    known = put("tokens").headers["ETag"]
    rotated = api.put("/v1/tokens/thing?rotate=true", json={"role": "viewer"}, headers={"If-Match": known})
    assert rotated.status_code == 200 and rotated.headers["ETag"] == etag(api, "tokens") != known
    with skep.Api(api.port, rotated.json()["token"], api.fingerprint) as user:
        user.ok("GET", "/v1/caller")
    assert etag(api, "tokens") == rotated.headers["ETag"]  # that it was used is no change


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
