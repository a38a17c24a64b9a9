"""A short run of ci/soak: a debug build whose CPUs are delayed at random at their locks."""

import soak

SEED = 20250131


def test_soak(folder):
    counts = soak.run(folder / "soak", 2, 15, SEED)
    assert counts["created"] > 3 and counts["changed"] > 3, counts
