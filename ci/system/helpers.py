"""What several system tests need."""

import contextlib
import pathlib
import ssl
import threading
import time

import skep
import websocket

MIB = 1 << 20


def example(name):
    return skep.BUILD / f"examples/{name}.elf"


def guest_program(name):
    return skep.BUILD / f"guests/{name}.elf"


def frames(api):
    """Frames by type."""
    return api.host()["frames"]


# The control service's own memory is counted with the guests', and it touches more of it the more it is asked:
# stacks of connections, its heap. Being asked the same again and again, it grows by nothing at all. The latest 16
# crashes have 5 retained records each, which outlive their guests. 15 frames for each of 32 connections, whose threads also
# take packets in, deep in a handshake.
CONTROL_GROWTH = {"guest": 480, "pagetable": 4, "retained": 80}


def wait_frames(api, expected, growth=None, seconds=10):
    """Waits until frames are as expected: guests that end give their memory back a moment later, volumes that nobody
    uses are closed ten seconds later."""
    growth = growth or {}

    def differences():
        now = frames(api)
        return {
            kind: (expected[kind], now[kind])
            for kind in expected
            if kind != "free" and abs(now[kind] - expected[kind]) > growth.get(kind, 0)
        }

    with contextlib.suppress(skep.NotInTime):
        skep.wait_for(lambda: not differences(), "frames as before", seconds)
    left = differences()
    assert not left, f"frames by type (before, now): {left}"


KINDS = ("guests", "images", "volumes")


def clear(api, keep=None):
    """Deletes all apps and guests, then all images and volumes, but those to keep."""
    keep = keep or {}
    for kind in ("apps", *KINDS):
        names = [item["name"] for item in api.ok("GET", f"/v1/{kind}")["items"]]
        names = [name for name in names if name not in keep.get(kind, ())]
        for name in names:
            api.ok("DELETE", f"/v1/{kind}/{name}")
        for name in names:
            skep.wait_for(
                lambda name=name: api.get(f"/v1/{kind}/{name}").status_code == 404,
                f"{kind}/{name} is gone",
            )


def is_problem(response, *statuses):
    """Asserts that an answer is a problem document with one of these statuses, and returns its detail."""
    assert response.status_code in statuses, f"{response.status_code}: {response.text}"
    assert response.headers["Content-Type"].startswith("application/problem+json"), response.headers
    problem = response.json()
    assert problem["status"] == response.status_code, problem
    assert problem["title"] and len(problem["detail"]) > 8, problem
    return problem["detail"]


def run_to_end(api, name, elf, args=(), memory_bytes=4 * MIB, **spec):
    """Runs a guest program until it ends; returns its status and what it printed."""
    image = pathlib.Path(elf).stem.replace("_", "-")
    if api.get(f"/v1/images/{image}").status_code == 404:
        api.upload(image, elf)
    api.create(
        name,
        image=image,
        memory_bytes=memory_bytes,
        args=list(args),
        desired_state="running",
        restart="never",
        **spec,
    )
    status = api.wait_state(name, "exited", "crashed")
    return status, api.log(name).decode(errors="replace")


def attach(api, name="cat", query="", **options):
    """A client of a guest's console."""
    header = [f"Authorization: {api.headers['Authorization']}"]
    context = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    address = f"wss://127.0.0.1:{api.port}/v1/guests/{name}/console{query}"
    return websocket.create_connection(address, header=header, sslopt=context, timeout=30, **options)


def read_more(console, said=b""):
    """What a console says, and a piece more; its end is a failure."""
    piece = console.recv()
    assert piece, f"the console has ended, with {said[-2000:]!r}"
    return said + piece


def read_until(console, text):
    """What a console says up to a text."""
    said = b""
    while text not in said:
        said = read_more(console, said)
    return said


def disk_image(folder, name, size):
    """A raw image of this size, sparse."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.img"
    with open(path, "wb") as file:
        file.truncate(size)
    return path


class Watch:
    """Fetches a guest's page over and over, and remembers each time that it didn't get it."""

    def __init__(self, machine, destination):
        self.machine = machine
        self.destination = destination
        self.answers = 0
        self.failures = []
        self.longest_gap = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        last = time.monotonic()
        while not self._end.wait(0.02):
            page = self.machine.fetch(self.destination)
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            if page:
                self.answers += 1
                last = now
            else:
                self.failures.append(now)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(30)

    def wait_answer(self):
        """Waits for an answer to a request that was sent after this call."""
        count = self.answers + 2
        skep.wait_for(lambda: self.answers >= count, f"{self.destination} goes on answering")
        assert not self.failures, f"{len(self.failures)} requests without an answer"


@contextlib.contextmanager
def web_guest(machine, destination):
    """A guest that serves a page, under a Watch. The machine forwards a port to it."""
    machine.api.upload("httpd", example("httpd"))
    networks = [{"address": f"{destination}/24", "gateway": "10.0.2.2"}]
    machine.api.create("web", image="httpd", memory_bytes=4 * MIB, networks=networks, desired_state="running")
    machine.wait_page(destination)
    with Watch(machine, destination) as watch:
        watch.wait_answer()
        yield watch
