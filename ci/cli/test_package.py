"""The Debian package: taken apart, and what is in it used."""

import os
import re
import subprocess

import pytest

import skep
from conftest import SKEPCTL, Cli


def tell(*command, **options):
    answer = subprocess.run([*map(str, command)], text=True, capture_output=True, cwd=skep.ROOT, **options)
    assert answer.returncode == 0, f"{command}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """Its file, and what it has unpacked."""
    root = tmp_path_factory.mktemp("package")
    version = tell(SKEPCTL, "--version").split()[1]
    file = skep.ROOT / f"build-cli/skepctl_{version}_amd64.deb"
    assert file.is_file(), "cmake --preset cli && cmake --build --preset cli --target skepctl-deb"
    tell("dpkg-deb", "-x", file, root)
    return file, root


def test_what_is_in_it(package):
    file, _ = package
    listed = [line.split(None, 5) for line in tell("dpkg-deb", "-c", file).splitlines()]
    files = {words[5]: words[0] for words in listed if not words[5].endswith("/")}
    assert {name.removeprefix("./usr/"): mode for name, mode in files.items()} == {
        "bin/skepctl": "-rwxr-xr-x",
        "share/man/man1/skepctl.1.gz": "-rw-r--r--",
        "share/bash-completion/completions/skepctl": "-rw-r--r--",
        "share/doc/skepctl/copyright": "-rw-r--r--",
        "share/doc/skepctl/licences.md": "-rw-r--r--",
    }
    assert {words[1] for words in listed} == {"root/root"}
    fields = dict(re.findall(r"^ ?([A-Z][\w-]*): (.*)$", tell("dpkg-deb", "-f", file), re.M))
    assert (fields["Package"], fields["Architecture"]) == ("skepctl", "amd64")
    assert re.search(r"\blibcurl4 \(>= 7\.", fields["Depends"]) and re.search(r"\blibc6 \(", fields["Depends"])
    assert f"_{fields['Version']}_" in file.name


def test_the_program(package, service, tmp_path):
    _, root = package
    program = root / "usr/bin/skepctl"
    cli = Cli(tmp_path, program)
    cli.login(service)
    service.api.create("packaged", image="hello")
    try:
        assert "packaged" in cli.run("ps")
    finally:
        service.api.delete_guest("packaged")
    assert "RUNPATH" not in tell("readelf", "-d", program)
    assert str(skep.ROOT).encode() + b"/" not in program.read_bytes()  # it is the same wherever it is built


def test_the_manual(package):
    _, root = package
    shown = tell("man", "-l", root / "usr/share/man/man1/skepctl.1.gz", env={**os.environ, "MANWIDTH": "100", "LANG": "C"})
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", tell(root / "usr/bin/skepctl", "--help"), re.M)
    assert len(commands) > 40
    missing = [command for command in commands if command not in shown]
    assert not missing


def test_completion(package, tmp_path):
    """By bash itself, with the completion that is installed."""
    _, root = package
    script = f"""
        . {root}/usr/share/bash-completion/completions/skepctl
        complete -p skepctl >/dev/null || exit 1
        COMP_WORDS=(skepctl conso) COMP_CWORD=1
        _skepctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{root}/usr/bin:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(tmp_path)}
    assert tell("bash", "--norc", "-c", script, env=environment) == "console\n"
