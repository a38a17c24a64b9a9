"""A short run of ci/kills: the control service dies twice at any moment of a load, and a web guest serves throughout."""

import kills
import pytest

import skep
from conftest import NEIGHBOUR, boot
from helpers import MIB, disk_image, web_guest

SEED = 20250131


@pytest.fixture
def debug_machine(folder):
    disk = disk_image(folder / "kills", "disk", 256 * MIB)
    yield from boot(folder, "kills", elf=skep.build_exists(skep.DEBUG_BUILD), disks=[disk], forwards=[NEIGHBOUR])


def test_kills(debug_machine):
    with web_guest(debug_machine, NEIGHBOUR) as watch:
        work = kills.Kills(debug_machine, debug_machine.serial_text, SEED)
        assert work.run(60, kills.KILLS_IN_WINDOW) == kills.KILLS_IN_WINDOW
        watch.wait_answer()
    assert work.changes() > 0
    work.clear()
