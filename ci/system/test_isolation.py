"""Page-table isolation on and off: guests run and are stopped the same way."""

import pytest

from conftest import NEIGHBOUR, boot
from helpers import MIB, example, guest_program, run_to_end

# One for each way into ring 0: exception, page fault, double trouble, hypercall, upcall.
ATTACKS = {
    "divide": "divide-error",
    "cli": "general-protection",
    "read-upper": "page-fault",
    "jump-upper": "page-fault",
    "gs-upper": "invalid-opcode",
    "syscall-single-step": "debug",
    "resume-upper": "bad-hypercall",
    "upcall-upper": "bad-hypercall",
}


@pytest.mark.parametrize("pti", ["on", "off"])
@pytest.mark.parametrize("cpus", [1, 4])
def test_page_table_isolation(folder, pti, cpus):
    for machine in boot(
        folder, f"pti-{pti}-{cpus}", append=f"pti={pti}", cpus=cpus, forwards=[NEIGHBOUR]
    ):
        api = machine.api
        mitigations = api.host()["mitigations"]
        state = mitigations["meltdown (PTI)"]
        assert (state == "active") == (pti == "on"), mitigations
        api.upload("httpd", example("httpd"))
        networks = [{"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}]
        api.create(
            "web", image="httpd", memory_bytes=4 * MIB, networks=networks, desired_state="running"
        )
        machine.wait_page(NEIGHBOUR)
        for attack, reason in ATTACKS.items():
            status, _ = run_to_end(api, attack, guest_program("fault"), [attack])
            assert status["crash"]["reason"] == reason
        assert machine.fetch(NEIGHBOUR)
