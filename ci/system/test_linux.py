"""httpd is a plain POSIX program: it compiles and serves on Linux, unchanged."""

import subprocess

import requests

import skep

SOURCE = skep.ROOT / "examples"


def httpd_sources():
    folder = SOURCE / "httpd"
    return sorted(folder.glob("*.c")) if folder.is_dir() else [SOURCE / "httpd.c"]


def test_httpd_on_linux(tmp_path):
    program = tmp_path / "httpd"
    subprocess.run(
        ["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-pthread", "-o", program, *httpd_sources()],
        check=True,
    )
    [port] = skep.free_ports(1)
    session = requests.Session()
    session.trust_env = False
    with subprocess.Popen([program, str(port)], cwd=tmp_path) as process:

        def page():
            assert process.poll() is None, "httpd ended"
            try:
                return session.get(f"http://127.0.0.1:{port}/", timeout=5)
            except requests.ConnectionError:
                return None

        try:
            answer = skep.wait_for(page, "a page", 20)
            assert answer.status_code == 200 and b"<h1>" in answer.content
            assert session.get(f"http://127.0.0.1:{port}/none", timeout=5).status_code == 404
        finally:
            process.terminate()
