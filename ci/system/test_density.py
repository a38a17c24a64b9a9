"""A thousand guests in one Skep, and the control service among many busy ones: as ci/bench measures them."""

import sys

import pytest

import skep

sys.path.insert(0, str(skep.ROOT / "ci/bench.d"))

import density  # noqa: E402
import reservation  # noqa: E402
from table import Table  # noqa: E402


@pytest.mark.parametrize(
    "rows, guests", [(density.rows, 1000), (reservation.rows, 200)], ids=["density", "reservation"]
)
def test_many_guests(folder, rows, guests):
    table = Table()
    rows(guests, table, folder)
    print(table.text())
    assert not table.failures(), table.text()
