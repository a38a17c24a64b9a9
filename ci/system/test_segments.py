"""Long TCP segments that the card cuts, and the same downloads where it can't: the bytes, and how long packets are."""

import os

import pytest

import segments


@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="a tap needs root")
@pytest.mark.parametrize("card", segments.CARDS)
def test_downloads(tmp_path, card):
    done = segments.run_inside(tmp_path, card)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
