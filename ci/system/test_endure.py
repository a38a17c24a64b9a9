"""A short run of ci/endure: thousands of requests and hundreds of handshakes leave no memory behind."""

import endure

import skep

# What handshakes lose of the heap shows from 40 bytes for each on, what requests lose from a byte or two. So short a run
# still finds new heights of the heap, of which a long one has about 750 frames: here they show only what is lost of mappings.
GROWTH = {"guest": 512, "pagetable": 2}


def test_endure(folder):
    with skep.Machine(folder / "endure", elf=skep.build_exists()) as machine:
        api = machine.wait_api()
        work = endure.Endurance(machine, lambda: endure.machine_memory(api), GROWTH, endure.HEAP_GROWTH, folder)
        work.run(200, 6000)
