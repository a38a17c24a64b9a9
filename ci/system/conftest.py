"""Fixtures of the system tests: a booted Skep, its neighbour guest, and the checks that close each suite."""

import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import skep  # noqa: E402
from described import as_described  # noqa: E402, F401
from helpers import CONTROL_GROWTH, KINDS, MIB, clear, frames, wait_frames  # noqa: E402
from storage import disks_with_volumes, format_disk  # noqa: E402

NEIGHBOUR = "10.0.2.20"
CROWD = [f"10.0.2.{100 + i}" for i in range(32)]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the serial console to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, skep.Machine) and value.serial.exists():
                report.sections.append((f"serial console ({value.serial})", value.serial_tail(60)))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where serial logs go."""
    return tmp_path_factory.mktemp("skep")


def boot(folder, name, growth=CONTROL_GROWTH, **options):
    """Boots a Skep, yields it with its API ready and its disks formatted, and checks at the end that nothing was left
    or broken."""
    options.setdefault("elf", skep.build_exists())
    with skep.Machine(folder / name, **options) as machine:
        api = machine.wait_api()
        for index in range(len(options.get("disks", ()))):
            format_disk(api, index)
        # The first of everything may leave something behind that is kept on purpose; the second must not.
        api.upload("warm-up", skep.BUILD / "examples/hello.elf")
        api.create("warm-up", image="warm-up", memory_bytes=2 * MIB, desired_state="running")
        api.wait_state("warm-up", "exited")
        clear(api)
        baseline = frames(api)
        yield machine
        machine.check_alive()
        clear(machine.api)
        assert not disks_with_volumes(machine.api)
        wait_frames(machine.api, baseline, growth)
        machine.check_alive()


@pytest.fixture(scope="module")
def machine(folder, request):
    """One Skep for the tests of a module; each test leaves it without guests of its own."""
    name = request.module.__name__
    yield from boot(folder, name, forwards=[NEIGHBOUR, "10.0.2.21", *CROWD])


@pytest.fixture
def api(machine):
    """The API of the module's Skep. Guests, images and volumes that a test makes are gone when it has ended."""
    machine.check_alive()
    before = {
        kind: {item["name"] for item in machine.api.ok("GET", f"/v1/{kind}")["items"]}
        for kind in KINDS
    }
    yield machine.api
    machine.check_alive()
    clear(machine.api, keep=before)
