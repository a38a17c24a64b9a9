"""Long TCP segments that the card cuts, and the same downloads where it can't: the bytes, and how long packets are; the
same from guest to guest, where they arrive in long parts; and segments that lie."""

import os

import pytest

import segments

needs_tap = pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="a tap needs root")


@needs_tap
@pytest.mark.parametrize("what", [*segments.CARDS, "attacks"])
def test_segments(tmp_path, what):
    done = segments.run_inside(tmp_path, what)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
