"""A network card with a pair of queues for each CPU, over a tap device in a network namespace of its own: two web guests, each
on a CPU, are asked at the same time; python3 pairs.py FOLDER PAIRS. Prints how many interrupts from other CPUs a request
each guest's CPU had."""

import concurrent.futures
import http.client
import os
import pathlib
import re
import subprocess
import sys

import skep

TAP, GATEWAY, HOST = "pairs0", "10.79.0.1", "10.79.0.15"
GUESTS = ("10.79.0.20", "10.79.0.21")
REQUESTS = 400
MIB = 1 << 20
COUNT = 8 * MIB
PERIOD = bytes(range(251))


def run_inside(folder, pairs):
    """Starts this file in a namespace that has the tap."""
    kind = " multi_queue" if pairs > 1 else ""
    setup = (
        f"ip link set lo up && ip tuntap add {TAP} mode tap{kind} && ip addr add {GATEWAY}/24 dev {TAP} && "
        f'ip link set {TAP} up && exec "$@"'
    )
    return subprocess.run(
        ["unshare", "--net", "--", "/bin/sh", "-c", setup, "sh", sys.executable, __file__, str(folder), str(pairs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def interrupts(api):
    text = api.get("/metrics").text
    return [int(count) for count in re.findall(r'^skep_cpu_ipis_total\{cpu="\d+"\} (\d+)', text, re.M)]


def ask(address):
    """One request after the other, so that the guest sleeps before each."""
    client = http.client.HTTPConnection(address, timeout=60)
    for _ in range(REQUESTS):
        client.request("GET", "/bytes/500")
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, (PERIOD * 2)[:500])
    client.close()


def stream(address):
    client = http.client.HTTPConnection(address, timeout=120)
    client.request("GET", f"/bytes/{COUNT}")
    body = client.getresponse().read()
    assert body == (PERIOD * (COUNT // len(PERIOD) + 1))[:COUNT]
    client.close()


def at_once(pool, work):
    for done in [pool.submit(work, address) for address in GUESTS]:
        done.result()


def main():
    folder, pairs = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    place = {"host": HOST, "append": f"address={HOST}/24 gateway={GATEWAY}", "tap": TAP, "kvm": "off"}
    with skep.Machine(folder, forwards=GUESTS, cpus=2, queues=pairs, **place) as machine:
        api = machine.wait_api()
        machine.wait_serial(f"pairs of queues: {pairs}")
        api.upload("httpd", skep.BUILD / "examples/httpd.elf")
        for cpu, address in enumerate(GUESTS):
            networks = [{"address": f"{address}/24", "gateway": GATEWAY}]
            spec = {"memory_bytes": 16 * MIB, "networks": networks, "cpu_affinity": [cpu], "desired_state": "running"}
            api.create(f"web-{cpu}", image="httpd", **spec)
            machine.wait_page(address)
        with concurrent.futures.ThreadPoolExecutor(len(GUESTS)) as pool:
            before = interrupts(api)
            at_once(pool, ask)
            after = interrupts(api)
            at_once(pool, stream)
        print(*(round((b - a) / REQUESTS, 2) for a, b in zip(before, after)))
        machine.check_alive()


if __name__ == "__main__":
    main()
