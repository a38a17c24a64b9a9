"""Apps: a service of two guests and a volume by one document, changed, over a reboot, and gone without a trace."""

import pytest

import skep
from conftest import NEIGHBOUR
from helpers import CONTROL_GROWTH, MIB, disk_image, example, frames, wait_frames
from storage import disks_with_volumes, format_disk

SECOND = "10.0.2.21"


@pytest.fixture
def machine(folder):
    disk = disk_image(folder, "apps", 64 * MIB)
    with skep.Machine(
        folder / "apps", elf=skep.build_exists(), disks=[disk], forwards=[NEIGHBOUR, SECOND], reboot=True
    ) as machine:
        format_disk(machine.wait_api())
        yield machine
        assert "PANIC" not in machine.serial_text(), machine.serial_tail()


def web(address, **fields):
    networks = [{"address": f"{address}/24", "gateway": "10.0.2.2"}]
    return {"image": "httpd", "memory_bytes": 4 * MIB, "networks": networks, **fields}


def shop(size=MIB, **guests):
    back = web(NEIGHBOUR, volumes=[{"name": "shop-data"}])
    return {"labels": {"team": "shop"}, "volumes": {"shop-data": {"size_bytes": size}}, "guests": {"shop-back": back, **guests}}


def wait_ready(api):
    return skep.wait_for(
        lambda: (app := api.ok("GET", "/v1/apps/shop"))["status"]["state"] == "ready" and app, "the app is ready", 20
    )


def delete(api):
    api.ok("DELETE", "/v1/apps/shop")
    skep.wait_for(lambda: api.get("/v1/apps/shop").status_code == 404, "the app is gone", 20)


def live_once(api):
    api.ok("PUT", "/v1/apps/shop", json=shop())
    wait_ready(api)
    delete(api)


def test_a_service_from_its_document_to_its_end(machine):
    api = machine.api
    api.upload("httpd", example("httpd"))
    # The first of everything may leave something behind that is kept on purpose; the second must not.
    live_once(api)
    baseline = frames(api)
    live_once(api)
    wait_frames(api, baseline, CONTROL_GROWTH)
    front = web(SECOND, start_after=["shop-back"])
    made = api.ok("PUT", "/v1/apps/shop", json=shop(**{"shop-front": front}))
    assert made["change"] == "created"
    assert made["changes"] == {
        "guests": {"shop-back": "created", "shop-front": "created"},
        "volumes": {"shop-data": "created"},
    }
    assert wait_ready(api)["status"]["guests"] == {"shop-back": "running", "shop-front": "running"}
    for address in (NEIGHBOUR, SECOND):
        machine.wait_page(address)
    started = api.status("shop-back")["started_at"]

    # Another document: one guest goes, the other goes on, and the volume grows.
    changed = api.ok("PUT", "/v1/apps/shop", json=shop(2 * MIB))
    assert changed["changes"] == {"guests": {"shop-back": "none", "shop-front": "deleted"}, "volumes": {"shop-data": "applied"}}
    assert wait_ready(api)["status"]["guests"] == {"shop-back": "running"}
    assert api.get("/v1/guests/shop-front").status_code == 404
    assert api.ok("GET", "/v1/volumes/shop-data")["size_bytes"] == 2 * MIB
    assert api.status("shop-back")["started_at"] == started
    spec = wait_ready(api)["spec"]

    # It is there again after the machine's next start.
    api.ok("POST", "/v1/host/reboot")
    skep.wait_for(lambda: machine.serial_text().count(skep.READY) == 2, "Skep is up again", skep.BOOT_SECONDS)
    api = machine.wait_api()
    assert wait_ready(api)["spec"] == spec
    machine.wait_page(NEIGHBOUR)

    assert api.ok("PUT", "/v1/apps/shop", json=shop(2 * MIB))["change"] == "none"
    delete(api)
    assert api.get("/v1/guests/shop-back").status_code == 404
    assert api.get("/v1/volumes/shop-data").status_code == 404
    assert not disks_with_volumes(api)
