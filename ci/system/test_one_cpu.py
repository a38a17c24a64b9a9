"""A machine with one CPU, which QEMU emulates in one thread: its card's interrupts get through all the same."""

import subprocess

import helpers
import pytest
import skep

WEB = "10.0.2.20"
LOAD = ("wrk", "--threads", "1", "--connections", "8", "--duration", "10")
ANSWER_SECONDS = 20


@pytest.fixture
def machine(tmp_path):
    with skep.Machine(tmp_path, forwards=[WEB], cpus=1) as machine:
        machine.wait_api().upload("httpd", helpers.example("httpd"))
        networks = [{"address": f"{WEB}/24", "gateway": "10.0.2.2"}]
        machine.api.create("web", image="httpd", networks=networks, desired_state="running")
        machine.wait_page(WEB)
        yield machine


def test_it_is_not_deaf_after_load(machine):
    """Where a fence towards devices is none, every other such load ends in a card that is never heard again."""
    subprocess.run([*LOAD, machine.url(WEB)], check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert machine.fetch(WEB, timeout=ANSWER_SECONDS), "the card isn't heard any more"
    assert machine.api.get("/healthz", timeout=ANSWER_SECONDS).status_code == 200
    machine.check_alive()
