"""A network card with a pair of queues for each CPU (pairs.py): what comes for a guest interrupts the CPU that it runs on, and
no other CPU is needed for it. With one pair, each packet for a guest on the second CPU takes an interrupt from the first."""

import os

import pytest

import pairs

needs_tap = pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="a tap needs root")


def interrupts(folder, count):
    done = pairs.run_inside(folder, count)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    return [float(word) for word in done.stdout.split()]


@needs_tap
def test_each_cpu_has_its_own_packets(tmp_path):
    assert max(interrupts(tmp_path, 2)) < 0.3


@needs_tap
def test_one_pair_is_the_first_cpus(tmp_path):
    assert interrupts(tmp_path, 1)[1] > 0.5
