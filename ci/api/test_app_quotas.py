"""What an app makes counts against the quotas of the token's scope as if its guests and volumes had been made one by one."""

import pytest

import skep
from conftest import MIB

DISK_BYTES = 16 * MIB
GUESTS = {
    "ci-a": {"image": "httpd", "memory_bytes": 2 * MIB, "vcpus": 1, "desired_state": "stopped"},
    "ci-b": {"image": "httpd", "memory_bytes": 3 * MIB, "vcpus": 2, "desired_state": "stopped"},
}
VOLUMES = {"ci-a": {"size_bytes": MIB}, "ci-b": {"size_bytes": 2 * MIB}}
NEEDED = {"guests": 2, "memory_bytes": 5 * MIB, "vcpus": 3, "volume_bytes": 3 * MIB}


def one_by_one(caller):
    """The statuses of the calls that make the members, up to the first that is refused."""
    for kind, members in (("volumes", VOLUMES), ("guests", GUESTS)):
        for name, body in members.items():
            status = caller.put(f"/v1/{kind}/{name}", json=body).status_code
            if status != 201:
                return status
    return 201


def as_app(caller):
    document = {"volumes": VOLUMES, "guests": GUESTS}
    foreseen = caller.put("/v1/apps/ci-app?dry_run=true", json=document)
    done = caller.put("/v1/apps/ci-app", json=document)
    assert foreseen.status_code == (200 if done.status_code == 201 else done.status_code), foreseen.text
    return done.status_code


@pytest.fixture
def with_quotas(api, service):
    """Makes a caller whose scope has these quotas. In the end there is nothing of its."""
    callers = []

    def make(quotas):
        wish = {"role": "operator", "scope": {"prefix": "ci-", "quotas": quotas}}
        secret = api.ok("PUT", "/v1/tokens/ci", json=wish, params={"rotate": "true"})["token"]
        callers.append(skep.Api(service.port, secret, api.fingerprint))
        return callers[-1]

    yield make
    clear(api)
    for caller in callers:
        caller.close()
    api.ok("DELETE", "/v1/tokens/ci")


def clear(api):
    assert api.delete("/v1/apps/ci-app").status_code in (204, 404)
    for kind, members in (("guests", GUESTS), ("volumes", VOLUMES)):
        for name in members:
            assert api.delete(f"/v1/{kind}/{name}").status_code in (204, 404)


@pytest.mark.parametrize("quota", NEEDED)
def test_what_is_needed_and_one_less(api, with_quotas, quota):
    """Of each quota alone: both ways come to the same, and what is refused as an app has made nothing."""
    for way in (one_by_one, as_app):
        assert way(with_quotas({quota: NEEDED[quota]})) == 201
        clear(api)
        assert way(with_quotas({quota: NEEDED[quota] - 1})) == 409
        if way is as_app:
            assert not [item for item in api.ok("GET", "/v1/guests")["items"] if item["name"] in GUESTS]
            assert not [item for item in api.ok("GET", "/v1/volumes")["items"] if item["name"] in VOLUMES]
        clear(api)


def test_what_others_made_counts_too(api, with_quotas):
    """A guest and a volume of the prefix that are no app's take their part of all quotas."""
    api.create("ci-other", image="httpd", memory_bytes=MIB, desired_state="stopped")
    api.ok("PUT", "/v1/volumes/ci-other", json={"size_bytes": MIB})
    more = {"guests": 1, "memory_bytes": MIB, "vcpus": 1, "volume_bytes": MIB}
    for quota, needed in NEEDED.items():
        assert as_app(with_quotas({quota: needed + more[quota] - 1})) == 409
        clear(api)
    assert as_app(with_quotas({quota: needed + more[quota] for quota, needed in NEEDED.items()})) == 201
    # Growing beyond them is refused to the app as to a guest of its.
    larger = {"volumes": VOLUMES, "guests": {**GUESTS, "ci-a": {**GUESTS["ci-a"], "memory_bytes": 3 * MIB}}}
    caller = with_quotas({quota: needed + more[quota] for quota, needed in NEEDED.items()})
    assert caller.put("/v1/apps/ci-app", json=larger).status_code == 409
    assert caller.patch("/v1/guests/ci-a", json={"memory_bytes": 3 * MIB}).status_code == 409
    api.delete_guest("ci-other")
    api.ok("DELETE", "/v1/volumes/ci-other")
