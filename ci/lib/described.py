"""Each answer that a test gets by skep.Api is one that docs/openapi.json knows: as_described, a fixture for conftest.py.
Scripts that aren't run by pytest have Contract.insist look at each answer instead."""

import pytest

import openapi
import skep

CONTRACT = openapi.Contract()
skep.Api.observer = CONTRACT.note


@pytest.fixture(autouse=True)
def as_described():
    """What a test got, and what started and ended around it."""
    yield
    mistakes = CONTRACT.take_mistakes()
    assert not mistakes, "not as docs/openapi.json says:\n" + "\n".join(mistakes[:20])
