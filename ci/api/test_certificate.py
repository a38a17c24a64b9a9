"""The server's certificate by the API, with openssl as the authority."""

import pytest

import skep
from authority import Authority, Key, describe_request

PATH = "/v1/host/certificate"


@pytest.fixture
def service(start):
    """One of the test's own, since its certificate changes."""
    return start()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def shown(service):
    return skep.Api.presented_fingerprint(service.port)


def plain(fingerprint):
    return fingerprint.replace(":", "").lower()


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()["detail"]


def test_what_is_shown(service):
    seen = service.api.ok("GET", PATH)
    assert plain(seen["fingerprint"]) == shown(service)
    assert seen["origin"] == "self-signed" and seen["key"] == "ECDSA P-256"
    assert seen["names"] == ["skep", "localhost", "127.0.0.1"]
    assert (seen["not_before"], seen["not_after"]) == ("2025-01-01T00:00:00Z", "2049-12-31T23:59:59Z")
    assert seen["certificate"].count("BEGIN CERTIFICATE") == 1 and not seen["requested"]
    assert "key" not in seen["certificate"].lower().replace("certificate", "")


def test_needs_the_token(service):
    api = skep.Api(service.port, None)
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", PATH + "/renew"), ("POST", PATH + "/request")):
        problem(api.request(method, path), 401)


@pytest.mark.parametrize("kind", ["prime256v1", "secp384r1", "rsa2048", "rsa4096"])
def test_install_with_an_intermediate(service, authority, kind):
    key = Key(authority.folder / "server", kind)
    chain = authority.sign(key, "skep.example")
    old = service.api
    seen = old.ok("PUT", PATH, json={"certificate": chain, "key": key.pem()})
    assert seen["origin"] == "installed" and seen["certificate"].count("BEGIN CERTIFICATE") == 2
    assert seen["names"] == ["skep.example"] and "Skep test" in seen["issuer"]
    assert "PRIVATE" not in str(seen)
    assert plain(seen["fingerprint"]) == shown(service) != old.fingerprint
    # The connection of before goes on, and clients that know the authority need no pin.
    assert old.ok("GET", "/v1/host")
    for version in ("1.2", "1.3"):
        authority.check_served(service.port, "skep.example", version)


def test_open_connections_go_on(service, authority):
    """Each keeps the context that it began with, however often that changes meanwhile."""
    old = [skep.Api(service.port, service.token) for _ in range(3)]
    for api in old:
        api.ok("GET", "/v1/host")
    seen = set()
    for _ in range(3):
        service.api.ok("POST", PATH + "/renew")
        seen.add(shown(service))
        for api in old:
            api.ok("GET", "/v1/host")
    assert len(seen) == 3 and old[0].fingerprint not in seen


def test_signed_request(service, authority):
    """The key stays inside: what leaves is the request, and what comes back its certificate."""
    before = shown(service)
    body = {"names": ["skep.example", "*.skep.example", "192.0.2.7"], "key": "new"}
    request = service.api.ok("POST", PATH + "/request", json=body)["request"]
    assert shown(service) == before and service.api.ok("GET", PATH)["requested"]
    text = describe_request(request)
    assert "DNS:skep.example, DNS:*.skep.example, IP Address:192.0.2.7" in text
    assert "CN = skep.example" in text and "ecdsa-with-SHA256" in text
    chain = authority.sign_request(request, "skep.example")
    seen = service.api.ok("PUT", PATH, json={"certificate": chain})
    assert seen["origin"] == "installed" and not seen["requested"]
    authority.check_served(service.port, "skep.example", "1.3")


def test_request_for_the_key_in_use(service, authority):
    pin = service.api.ok("GET", PATH)["public_key_pin"]
    request = service.api.ok("POST", PATH + "/request", json={"names": ["a.example"]})["request"]
    chain = authority.sign_request(request, "a.example")
    assert service.api.ok("PUT", PATH, json={"certificate": chain})["public_key_pin"] == pin


def test_bad_requests_change_nothing(service, authority):
    key = Key(authority.folder / "server", "prime256v1")
    good = authority.sign(key, "skep.example")
    leaf, intermediate = (part + "-----END CERTIFICATE-----\n" for part in good.split("-----END CERTIFICATE-----\n")[:2])
    bodies = [
        ([], "object"),
        ({}, "certificate is missing"),
        ({"certificate": 1}, "must be a string"),
        ({"certificate": good, "key": 1}, "must be a string"),
        ({"certificate": good, "extra": 1}, "extra"),
        ({"certificate": "", "key": key.pem()}, "must be PEM"),
        ({"certificate": good[:300], "key": key.pem()}, "must be PEM"),
        ({"certificate": good, "key": ""}, "key must be PEM"),
        ({"certificate": good, "key": Key(authority.folder / "other", "prime256v1").pem()}, "isn't that of"),
        ({"certificate": intermediate + leaf, "key": key.pem()}, "isn't that of"),
        ({"certificate": leaf + leaf, "key": key.pem()}, "issued by"),
        ({"certificate": leaf + intermediate * 20, "key": key.pem()}, "issued by|too large"),
        ({"certificate": good}, "neither for the key in use"),
        ({"certificate": authority.sign(key, "x", usage="clientAuth"), "key": key.pem()}, "isn't for a server"),
        ({"certificate": good, "key": key.encrypted()}, "isn't encrypted"),
    ]
    for kind in ("rsa1024", "secp521r1", "ed25519"):
        weak = Key(authority.folder / kind, kind)
        bodies.append(({"certificate": authority.sign(weak, "x"), "key": weak.pem()}, "key must be|must be PEM"))
    before = shown(service), service.api.ok("GET", PATH)
    for body, why in bodies:
        detail = problem(service.api.put(PATH, json=body), 422)
        assert any(part in detail for part in why.split("|")), (why, detail)
    for names in (None, [], "a", [1], [""], ["a b"], ["-"], ["10.0.0.300"], ["a.example"] * 17, ["a" * 64]):
        for action in ("/request", "/renew"):
            problem(service.api.post(PATH + action, json={"names": names}), 422)
    problem(service.api.post(PATH + "/request", json={"names": ["a"], "key": "other"}), 422)
    problem(service.api.post(PATH + "/request", json={}), 422)
    assert (shown(service), service.api.ok("GET", PATH)) == before


def test_a_long_chain(service, authority):
    """As much as fits is served; what is more is refused rather than not served."""
    key = Key(authority.folder / "server", "prime256v1")
    deep = Authority(authority.folder / "deep", depth=7)
    chain = deep.sign(key, "skep.example")
    service.api.ok("PUT", PATH, json={"certificate": chain, "key": key.pem()})
    for version in ("1.2", "1.3"):
        deep.check_served(service.port, "skep.example", version)
    deeper = Authority(authority.folder / "deeper", depth=24)
    answer = service.api.put(PATH, json={"certificate": deeper.sign(key, "skep.example"), "key": key.pem()})
    assert "too large" in problem(answer, 422)


def test_kept_over_reboots(start, authority):
    service = start(disk_bytes=8 << 20)
    key = Key(authority.folder / "server", "prime256v1")
    chain = authority.sign(key, "skep.example")
    service.api.ok("PUT", PATH, json={"certificate": chain, "key": key.pem()})
    installed = shown(service)
    skep.Api(service.port, service.token).ok("POST", "/v1/host/reboot")
    service.wait_ready(starts=2)
    assert shown(service) == installed
    assert service.api.ok("GET", PATH)["certificate"] == chain
    trail = service.api.ok("GET", "/v1/audit")["items"]
    assert [(item["path"], item["status"], item["value"]) for item in trail if item["path"] == PATH] == [
        (PATH, 200, "identity")
    ]
