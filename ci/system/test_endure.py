"""A short run of ci/endure: thousands of requests and hundreds of handshakes leave no memory behind."""

import endure

import skep


def test_endure(folder):
    with skep.Machine(folder / "endure", elf=skep.build_exists()) as machine:
        api = machine.wait_api()
        work = endure.Endurance(machine, lambda: endure.frames_in_use(api), endure.FRAMES_GROWTH, folder)
        work.run(200, 6000)
