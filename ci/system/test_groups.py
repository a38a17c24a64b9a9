"""Groups (multicast) of guests (ci/lib/groups.py): from the wire, between guests, questions of routers, full tables."""

import os
import subprocess
import sys

import pytest

import skep

FOUND = """\
who has joined no group gets nothing
members get what comes from the wire
members and the wire get what a guest sends, and so does who sent it
a router's question is answered
a full table is told as ENOBUFS
who has left a group gets nothing more
"""


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this host's kernel has no IPv6")
@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="a tap needs root")
def test_groups():
    command = [sys.executable, "-B", skep.ROOT / "ci/lib/groups.py"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, FOUND), done.stdout
