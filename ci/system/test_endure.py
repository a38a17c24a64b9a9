"""A short run of ci/endure: thousands of requests and hundreds of handshakes leave no memory behind."""

import endure

import skep

# So short a run still finds new heights of the heap, as the long one does in its first half. What handshakes lose shows
# from 5 KiB for each on, what requests lose from 170 bytes.
GROWTH = {"guest": 128, "pagetable": 2}


def test_endure(folder):
    with skep.Machine(folder / "endure", elf=skep.build_exists()) as machine:
        api = machine.wait_api()
        work = endure.Endurance(machine, lambda: endure.frames_in_use(api), GROWTH, folder)
        work.run(200, 6000)
