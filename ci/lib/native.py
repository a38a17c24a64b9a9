"""The control service as a Linux program over a model of ring 0 (build-host/skep-control-native), sanitized."""

import contextlib
import os
import pathlib
import secrets
import subprocess

import qemu
import skep

PROGRAM = skep.ROOT / "build-host/skep-control-native"


class Native:
    """One that runs, with what it says in a file. A context manager that ends it by its pid."""

    def __init__(self, folder, disk_bytes=0, volume_bytes=0, panic="", sanitizer=""):
        """disk_bytes: of a disk for Skep's own state; volume_bytes: of one for volumes; 0 = none. panic: what a former
        boot has left. sanitizer: more options of AddressSanitizer's."""
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "native.log"
        self.token = secrets.token_hex(16)
        self.port = skep.free_ports(1)[0]
        self.panic = panic
        self.sanitizer = f"detect_leaks=0:abort_on_error=0:{sanitizer}"
        self.disks = {"--disk": disk_bytes, "--volumes": volume_bytes}
        self.process = self.api = None

    def command(self):
        words = [str(PROGRAM), "--port", str(self.port), "--token", self.token]
        words += ["--panic", self.panic] if self.panic else []
        for option, size in self.disks.items():
            if size:
                path = self.folder / f"{option.strip('-')}.img"
                with open(path, "wb") as file:
                    file.truncate(size)
                words += [option, str(path)]
        return words

    def start(self):
        if not PROGRAM.is_file():
            raise qemu.Missing(f"{PROGRAM} doesn't exist: cmake --preset host, then build skep-control-native")
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=skep.end_with_parent,
                env={**os.environ, "ASAN_OPTIONS": self.sanitizer, "UBSAN_OPTIONS": "halt_on_error=1"},
            )
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    def ready_count(self):
        return self.text().count(skep.READY)

    def wait_ready(self, starts=1):
        """Waits until it has said so often that it serves the API: once for each start of the service."""

        def ready():
            self.check_alive()
            return self.ready_count() >= starts

        skep.wait_for(ready, "the API is served", skep.BOOT_SECONDS)
        self.api = skep.Api(self.port, self.token)
        return self.api

    def check_alive(self):
        code = self.process.poll()
        assert code is None, f"the service ended with code {code}:\n{self.text()[-4000:]}"
        assert "ERROR: AddressSanitizer" not in self.text(), self.text()[-4000:]
        assert "runtime error:" not in self.text(), self.text()[-4000:]

    def wait_end(self, seconds=5):
        """Waits a moment for it to end of what is wrong with it, so that its log tells."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def stop(self):
        if self.process and self.process.poll() is None:
            skep.end_process(self.process)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
