"""Programs that only use POSIX and what Linux has beside do in a guest what they do on Linux: they print the same."""

import subprocess

import pytest

import skep

from helpers import MIB, guest_program, run_to_end

SOURCES = skep.ROOT / "ci/guests"


def on_linux(name, folder):
    """What the program prints on the machine that tests."""
    program = folder / name
    subprocess.run(
        ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-pthread", "-o", program, SOURCES / f"{name}.c"],
        check=True,
        timeout=60,
    )
    return subprocess.run(
        [program], cwd=SOURCES, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.mark.parametrize("name", ["events", "mappings", "signals"])
def test_same_as_on_linux(api, name, tmp_path):
    expected = on_linux(name, tmp_path)
    assert expected.endswith(f"{name}: ok\n")
    for vcpus in [1, 3]:
        status, text = run_to_end(
            api, f"{name}-{vcpus}", guest_program(name), vcpus=vcpus, memory_bytes=4 * MIB
        )
        assert text == expected
        assert status["state"] == "exited" and status["exit_code"] == 0, status
