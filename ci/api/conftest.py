"""Fixtures of the API's tests: the control service as a Linux program, and docs/openapi.json as a contract."""

import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import native  # noqa: E402
import skep  # noqa: E402
from described import CONTRACT, as_described  # noqa: E402, F401

MIB = 1 << 20


@pytest.fixture(scope="session")
def elf():
    return (skep.BUILD / "examples/hello.elf").read_bytes()


@pytest.fixture
def start(tmp_path):
    """Starts services of the test's own; all of them are ended with it."""
    running = []

    def begin(**options):
        service = native.Native(tmp_path / str(len(running)), **options)
        running.append(service)
        service.start().wait_ready()
        return service

    yield begin
    for service in running:
        service.stop()
        assert "ERROR: AddressSanitizer" not in service.text() and "runtime error:" not in service.text(), service.text()


@pytest.fixture(scope="module")
def service(request, tmp_path_factory, elf):
    """One for the tests of a module: with an image, guests of which one has crashed, and volumes. The module's DISK_BYTES are
    those of a disk for Skep's own state."""
    disks = {"disk_bytes": getattr(request.module, "DISK_BYTES", 0), "volume_bytes": 64 * MIB}
    with native.Native(tmp_path_factory.mktemp("native"), **disks, panic="PANIC: once") as service:
        furnish(service.wait_ready(), elf)
        yield service
        service.check_alive()


def furnish(api, elf):
    api.upload("httpd", elf)
    api.ok("PUT", "/v1/disks/0", json={"format": True})
    api.ok("PUT", "/v1/volumes/db", json={"size_bytes": MIB})
    api.ok("PUT", "/v1/tokens/eye", json={"role": "viewer"})
    api.create("web", image="httpd", memory_bytes=4 * MIB, args=["print=hello"], labels={"team": "edge"})
    api.create("broken", image="httpd", memory_bytes=4 * MIB, args=["crash=8"])
    api.wait_state("broken", "crashed")


@pytest.fixture
def api(service):
    service.check_alive()
    yield service.api
    service.check_alive()
