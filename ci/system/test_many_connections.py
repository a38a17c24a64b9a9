"""A short form of ci/connections: what a web guest's clients can do to it, and that nothing of it stays behind."""

import os
import subprocess

import pytest

import skep


@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="raw sockets and a tap need root")
def test_many_connections():
    command = [skep.ROOT / "ci/connections", "--hasty", "--server", "httpd", "--connections", "2000"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
