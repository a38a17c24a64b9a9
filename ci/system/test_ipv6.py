"""IPv6 of guests (ci/lib/ipv6.py): a static and an autoconfigured address, pings, nginx as a proxy."""

import os
import subprocess
import sys

import pytest

import skep

FOUND = """\
one socket serves both
the link-local address answers
many segments come
echoes come, in fragments, too
no other guest gets the address
the guest asks for routers
an advertised network is joined
nginx listens on IPv6 and fetches from another guest by its name
"""


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this host's kernel has no IPv6")
@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK), reason="a tap needs root")
def test_ipv6():
    command = [sys.executable, "-B", skep.ROOT / "ci/lib/ipv6.py"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, FOUND), done.stdout
