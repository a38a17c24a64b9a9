"""Metrics of guests' devices: each value in its place. The model of ring 0 has another one for each."""

from conftest import MIB

FAMILIES = ("reads", "writes", "flushes", "discards", "read_bytes", "written_bytes")


def blocks_of(api, guest):
    """By family: what each device of the guest did, in their order."""
    found = {family: [] for family in FAMILIES}
    for line in api.get("/metrics").text.splitlines():
        for family in FAMILIES:
            head = f'skep_guest_block_{family}_total{{guest="{guest}",device="{len(found[family])}"}} '
            if line.startswith(head):
                found[family].append(int(line.removeprefix(head)))
    return found


def test_block_devices(api):
    api.ok("PUT", "/v1/volumes/second", json={"size_bytes": MIB})
    api.create("two", image="httpd", volumes=[{"name": "db"}, {"name": "second"}])
    assert blocks_of(api, "two") == {family: [10 * at, 10 * at + 1] for at, family in enumerate(FAMILIES, 1)}
    assert blocks_of(api, "web") == {family: [] for family in FAMILIES}
    api.ok("PATCH", "/v1/guests/two", json={"desired_state": "stopped"})
    api.wait_state("two", "exited")
    assert blocks_of(api, "two")["reads"] == [10, 11]
    api.delete_guest("two")
    api.ok("DELETE", "/v1/volumes/second")
