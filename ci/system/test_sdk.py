"""The SDK as its users have it: installed, moved, and used by a makefile, a configure script and CMake."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import skep
from authority import self_signed
from conftest import NEIGHBOUR
from helpers import run_to_end

HOST = "10.0.2.2"
PROJECT = skep.ROOT / "ci/sdk.d"
NOTE = (PROJECT / "www/note.txt").read_text()


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    """Where it lies now isn't where it was installed."""
    folder = tmp_path_factory.mktemp("sdk")
    install = ["cmake", "--install", str(skep.BUILD), "--prefix", str(folder / "installed")]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return (folder / "installed").rename(folder / "moved")


@pytest.fixture
def project(tmp_path):
    return shutil.copytree(PROJECT, tmp_path / "project")


def run(sdk, folder, *command, expected=0):
    """Runs a command where people have the SDK's programs, and returns what it says."""
    environment = os.environ | {"PATH": f"{sdk}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == expected, (command, done.stdout)
    return done.stdout


def says(api, program, *args, **spec):
    status, text = run_to_end(api, "app", program, args, **spec)
    api.delete_guest("app")
    assert (status["state"], status["exit_code"]) == ("exited", 0), (status, text)
    return text


@pytest.mark.parametrize("options", ["", " -flto", " -flto=auto -fno-fat-lto-objects"])
def test_a_makefile(api, sdk, project, options):
    """The libraries are optimised together with a program that asks for it, and only then."""
    tools = ["CC=x86_64-skep-gcc", "AR=x86_64-skep-ar", f"CFLAGS=-O2 -g{options}", "LDLIBS=files.o -lpthread"]
    run(sdk, project, "make", *tools, "files.o", "app")
    assert (" T skep_sched_add\n" in run(sdk, project, "x86_64-skep-nm", "app.debug")) == (options == "")
    assert says(api, project / "app", "/note.txt") == NOTE


@pytest.mark.parametrize("option", ["", "-flto"])
def test_a_link_of_many_words(api, sdk, project, option):
    """Which CMake and others write into a file."""
    run(sdk, project, "make", "CC=x86_64-skep-gcc", "AR=x86_64-skep-ar", f"CFLAGS=-O2 -g {option}", "files.o", "main.a")
    (project / "with a blank").mkdir()
    (project / "main.a").rename(project / "with a blank/main.a")
    (project / "words").write_text(f"-O2 {option} 'with a blank/main.a' files.o -lpthread\n")
    run(sdk, project, "x86_64-skep-gcc", "@words", "-o", "app")
    assert (" T skep_sched_add\n" in run(sdk, project, "x86_64-skep-nm", "app.debug")) == (option == "")
    assert says(api, project / "app", "/note.txt") == NOTE


def test_a_configure_script(api, sdk, project):
    for name in ("config.guess", "config.sub"):
        shutil.copy(pathlib.Path("/usr/share/misc") / name, project)
    run(sdk, project, "autoconf")
    run(sdk, project, "autoheader")
    (project / "out").mkdir()
    told = run(sdk, project / "out", "../configure", "--host=x86_64-skep", f"--prefix={sdk}/x86_64-skep")
    for line in (
        "whether we are cross compiling... yes",
        "for epoll_create1... yes",
        "for mq_open... no",
        "for working fork... (cached) no",
        "for vfork... (cached) no",
        "whether imported symbols can be declared weak... (cached) no",
    ):
        assert f"checking {line}\n" in told, told
    run(sdk, project / "out", "x86_64-skep-files", "-o", "files.o", project / "www")
    run(sdk, project / "out", "make", "LDLIBS=files.o")
    assert says(api, project / "out/app", "/note.txt") == NOTE + "configured for x86_64-unknown-skep\n"


def test_cmake(api, sdk, project):
    """The same project for Skep and for this Linux."""
    cmake = sdk / "lib/cmake/Skep"
    for folder, option in (("skep", f"-DCMAKE_TOOLCHAIN_FILE={cmake}/toolchain.cmake"), ("linux", f"-DSkep_DIR={cmake}")):
        run(sdk, project, "cmake", "-S", ".", "-B", folder, "-G", "Ninja", option)
        run(sdk, project, "cmake", "--build", folder)
    assert run(sdk, project, "linux/app", "www/note.txt") == NOTE
    program = project / "skep/app.elf"
    assert says(api, program, "/note.txt") == NOTE
    assert " skep_posix_files_start\n" in run(sdk, project, "x86_64-skep-nm", program.with_suffix(".debug"))  # FILESYSTEM
    assert "0x010000" in next(line for line in run(sdk, project, "readelf", "-lW", program).splitlines() if "STACK" in line)
    run(sdk, project, "cmake", "-S", ".", "-B", "whole", "-G", "Ninja", "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON",
        f"-DCMAKE_TOOLCHAIN_FILE={cmake}/toolchain.cmake")
    run(sdk, project, "cmake", "--build", "whole")
    assert " T skep_sched_add\n" not in run(sdk, project, "x86_64-skep-nm", "whole/app.debug")
    assert says(api, project / "whole/app.elf", "/note.txt") == NOTE
    # The build notices a file that came.
    (project / "www/more.txt").write_text("more\n")
    run(sdk, project, "cmake", "--build", "skep")
    assert says(api, (project / "skep/app.elf").rename(project / "more.elf"), "/more.txt") == "more\n"


def test_a_failed_assertion_leads_to_its_line(api, sdk, project):
    """The image has functions' names and a build-id; the file beside it, which has the same, has the lines."""

    def crash_and_lines(image):
        status, text = run_to_end(api, "app", image, ["/nowhere", "fail"])
        api.delete_guest("app")
        assert status["crash"]["message"] == "app.c:19: check: assertion failed: argc < 3", (status, text)
        (project / "record").write_text(json.dumps({"status": status}))
        return status["crash"], run(sdk, project, "sh", "-c", f"x86_64-skep-backtrace {image.stem}.debug <record").splitlines()

    image, debug = project / "failing.elf", project / "failing.debug"
    run(sdk, project, "x86_64-skep-gcc", "-O2", "-g", "-o", image, "app.c")
    build_ids = {run(sdk, project, "x86_64-skep-readelf", "-n", file).split("Build ID: ")[1].split()[0] for file in (image, debug)}
    assert len(build_ids) == 1
    sections = run(sdk, project, "x86_64-skep-readelf", "-SW", image)
    assert ".note.skep.names" in sections and ".symtab" not in sections and ".debug_" not in sections
    crash, lines = crash_and_lines(image)
    assert crash["reason"] == "abort"
    assert any(line.startswith("check at ") and "/app.c:19" in line for line in lines), lines
    assert any(line.startswith("main at ") and "/app.c:" in line for line in lines), lines
    # What has no lines is said to have none, and not to be where functions were that the linker has left out.
    run(sdk, project, "x86_64-skep-gcc", "-O2", "-o", "bare.elf", "app.c")
    crash, lines = crash_and_lines(project / "bare.elf")
    for function in ("check", "main"):
        place = next(place for line in crash["backtrace"] for place in line.split()[1:] if place.startswith(f"{function}+"))
        assert f"{function}+{int(place.split('+')[1], 16) - 1:#x}, whose line is not known" in lines, (crash, lines)


def test_an_image_has_nothing_for_loaders_and_unwinders(sdk, tmp_path):
    """Whatever a makefile for Linux asks for."""
    (tmp_path / "app.c").write_text("const char *texts[] = {\"a\", \"b\"};\nint unused() { return 1; }\nint main(int n, char **p) { return *texts[n]; }\n")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-rdynamic", "-Wl,-E", "-o", "app.elf", "app.c")
    sections = run(sdk, tmp_path, "x86_64-skep-readelf", "-SW", "app.elf")
    assert ".relr.dyn" in sections, sections
    assert " unused\n" not in run(sdk, tmp_path, "x86_64-skep-nm", "app.debug")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-c", "app.c")
    assert ".eh_frame" not in run(sdk, tmp_path, "x86_64-skep-readelf", "-SW", "app.o")


def test_what_jumps_lead_to_is_not_aligned(sdk, tmp_path):
    (tmp_path / "app.c").write_text("int f(int);\nint g(int n) { while (f(n)) if (f(n + 1)) n = f(2); else n = f(3); return f(n); }\n")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-S", "app.c")
    aligned = [line.split()[1] for line in (tmp_path / "app.s").read_text().splitlines() if ".p2align" in line]
    assert aligned.count("4,,10") == 1, aligned  # the loop


def test_reading_numbers_brings_no_tables_of_characters(sdk, tmp_path):
    """For the spaces that sscanf() skips."""
    (tmp_path / "app.c").write_text("#include <stdio.h>\nint main(int n, char **p) { return sscanf(p[0], \"%d\", &n); }\n")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-o", "app", "app.c")
    names = run(sdk, tmp_path, "x86_64-skep-nm", "app.debug")
    assert " T iswspace\n" in names and " category\n" not in names, names


def test_assertions_of_the_c_library_print_nothing(sdk, tmp_path):
    """They end in a crash record, as a program's do, and bring no second printf()."""
    (tmp_path / "app.c").write_text("#include <stdio.h>\nint main(int n, char **p) { return printf(\"%g %s\", n / 3.0, p[0]); }\n")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-o", "app", "app.c")
    names = run(sdk, tmp_path, "x86_64-skep-nm", "app.debug")
    assert " T __assert_func\n" in names and " fiprintf\n" not in names, names


OWN = """
    gettid pthread_tryjoin_np pthread_timedjoin_np pthread_clockjoin_np strerrorname_np strerrordesc_np sigabbrev_np sigdescr_np
    sigisemptyset sigandset sigorset sethostname getdomainname setdomainname sched_rr_get_interval gethostbyname2 gethostbyaddr
    gethostbyname_r gethostbyname2_r gethostbyaddr_r getservbyname_r getservbyport_r getprotobyname_r getprotobynumber_r
    hstrerror herror setservent getservent endservent setprotoent getprotoent endprotoent sethostent gethostent endhostent
    setnetent getnetent getnetbyname getnetbyaddr endnetent
""".split()

USES_NEIGHBOURS = """
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void *thread(void *unused) { return unused; }
int main(void)
{
    pthread_t other;
    sigset_t set;
    char name[64];
    struct addrinfo *list;
    sigemptyset(&set);
    int failed = pthread_create(&other, NULL, thread, NULL) != 0 || pthread_join(other, NULL) != 0 || pthread_self() == other;
    failed |= sigaddset(&set, SIGINT) != 0 || gethostname(name, sizeof(name)) != 0 || sched_yield() != 0;
    failed |= sched_getscheduler(0) != SCHED_OTHER || gethostbyname("127.0.0.1") == NULL || getservbyname("http", "tcp") == NULL;
    failed |= getprotobyname("tcp") == NULL || getaddrinfo("127.0.0.1", "80", NULL, &list) != 0;
    puts(failed ? "failed" : strerror(0));
    return failed;
}
"""


@pytest.mark.parametrize("options", [[], ["-flto"]])
def test_a_program_has_functions_of_these_names(api, sdk, tmp_path, options):
    """Linux' and the BSDs' own are the program's where it has them, and none of the library's calls end in them."""
    (tmp_path / "own.c").write_text("".join(f"int {name}(void) {{ __builtin_trap(); }}\n" for name in OWN))
    (tmp_path / "app.c").write_text(USES_NEIGHBOURS)
    run(sdk, tmp_path, "x86_64-skep-gcc", "-O2", "-fno-builtin", *options, "own.c", "app.c", "-o", "app.elf")
    assert says(api, tmp_path / "app.elf") == "Success\n"


@pytest.mark.parametrize(
    "source, options, words",
    [
        ("int mq_open(); int main() { return mq_open(); }", [], "mq_open: Skep's C library doesn't have it"),
        ("int helper(); int main() { return helper(); }", [], "helper: neither the program's own files"),
        ("int other;", [], "main: neither the program's own files"),
        ("int mq_open(); int main() { return mq_open(); }", ["-flto"], "mq_open: Skep's C library doesn't have it"),
        ("int main() { return 0; }", ["-shared"], "Skep has no shared libraries"),
        ("char text[9]; char *p(int i) { return text + i; } int main() { return *p(2); }", ["-fno-pie"], "position-independent"),
        ("#include <linux/types.h>", [], "linux/types.h: No such file"),
        ("int main() { return 0; }", ["-lcurl"], "cannot find -lcurl"),
    ],
)
def test_what_cannot_be_built_is_said_in_words(sdk, tmp_path, source, options, words):
    """Nothing of this Linux is taken by mistake, its headers and libraries neither."""
    (tmp_path / "bad.c").write_text(source + "\n")
    told = run(sdk, tmp_path, "x86_64-skep-gcc", "-w", *options, "bad.c", "-o", "bad.elf", expected=1)
    assert words in told
    assert not (tmp_path / "bad.elf").exists()


@contextlib.contextmanager
def https(folder, pem, key, version):
    """A server on this host, of one version of TLS; its port."""
    (port,) = skep.free_ports(1)
    words = ["openssl", "s_server", "-www", "-accept", f"127.0.0.1:{port}", "-cert", pem, "-key", key.path, f"-tls{version}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        skep.wait_for(lambda: "ACCEPT" in (folder / "server.log").read_text(), "openssl listens")
        yield port
    finally:
        skep.end_process(server)


@pytest.mark.parametrize("version, told", [("1_2", "TLSv1.2"), ("1_3", "TLSv1.3")])
def test_tls(api, sdk, project, version, told):
    """mbedTLS, found by pkg-config: an HTTPS client that reads its authority from a file."""
    flags = run(sdk, project, "x86_64-skep-pkg-config", "--cflags", "--libs", "mbedtls").split()
    run(sdk, project, "x86_64-skep-gcc", "-O2", "-Wall", "-Werror", "tls.c", "-o", "tls.elf", *flags)
    key, pem = self_signed(project, "web")
    made = datetime.datetime.now(datetime.timezone.utc).isoformat()
    skep.wait_for(lambda: api.host()["time"] > made, "Skep's clock, which is the real-time clock's to the second, is past that")
    network = [{"address": f"{NEIGHBOUR}/24", "gateway": HOST}]
    where = {"networks": network, "files": [{"path": "/authority.pem", "content": pem.read_text()}]}
    with https(project, pem, key, version) as port:
        answer = says(api, project / "tls.elf", HOST, str(port), "web", **where)
    assert answer.startswith(f"{told}\nHTTP/1.0 200 ok") and f"New, {told}, Cipher is" in answer, answer
    with https(project, pem, key, version) as port:
        status, text = run_to_end(api, "app", project / "tls.elf", [HOST, str(port), "other"], **where)
    assert status["exit_code"] == 1 and text.startswith("The certificate Common Name (CN) does not match"), text


def test_tls_by_cmake(sdk, project):
    (project / "CMakeLists.txt").write_text(
        """
        cmake_minimum_required(VERSION 3.25)
        project(tls LANGUAGES C)
        find_package(Skep REQUIRED)
        find_package(MbedTLS REQUIRED)
        skep_add_guest(tls SOURCES tls.c LIBS MbedTLS::mbedtls)
        """
    )
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={sdk}/lib/cmake/Skep/toolchain.cmake"
    run(sdk, project, "cmake", "-S", ".", "-B", "tls", "-G", "Ninja", toolchain)
    run(sdk, project, "cmake", "--build", "tls")
    assert " mbedtls_ssl_handshake\n" in run(sdk, project, "x86_64-skep-nm", "tls/tls.debug")


def test_packages_are_the_sdks(sdk, tmp_path):
    packages = sdk / "x86_64-skep/lib/pkgconfig"
    (packages / "bee.pc").write_text("Name: bee\nDescription: -\nVersion: 3\nLibs: -lbee\nLibs.private: -lm\n")
    assert run(sdk, tmp_path, "x86_64-skep-pkg-config", "--libs", "bee").split() == ["-lbee", "-lm"]
    run(sdk, tmp_path, "pkg-config", "--exists", "libcurl")
    run(sdk, tmp_path, "x86_64-skep-pkg-config", "--exists", "libcurl", expected=1)


def test_headers_compile_alone(sdk, tmp_path):
    include = sdk / "x86_64-skep/include"
    upstream = ("mbedtls", "psa", "everest")  # some are parts of others, and say so
    own = (header for header in include.rglob("*.h") if header.relative_to(include).parts[0] not in upstream)
    for header in sorted(own):
        (tmp_path / "one.c").write_text(f"#include <{header.relative_to(include)}>\n")
        for standard in ("gnu17", "gnu89"):
            run(sdk, tmp_path, "x86_64-skep-gcc", f"-std={standard}", "-Wall", "-Werror", "-fsyntax-only", "one.c")


def test_headers_in_the_place_of_others(sdk, tmp_path):
    """gnulib puts headers of its own before the system's, and includes more there than that does."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/select.h").write_text(
        "#include <sys/types.h>\n#include <sys/time.h>\n#include_next <sys/select.h>\n#include <signal.h>\n#include <pthread.h>\n"
    )
    (tmp_path / "one.c").write_text("#include <sys/types.h>\nu_int one; in_addr_t two; fd_set three; sbintime_t four;\n")
    run(sdk, tmp_path, "x86_64-skep-gcc", "-Wall", "-Werror", "-fsyntax-only", "-I.", "one.c")


def test_it_is_no_linux_but_a_unix(sdk, tmp_path):
    """Programs have a branch for Windows where neither is defined."""
    (tmp_path / "one.c").write_text(
        "#if !defined __skep__ || !defined __unix__ || defined __linux__ || defined linux || defined unix\n#error\n#endif\n"
    )
    run(sdk, tmp_path, "x86_64-skep-gcc", "-std=gnu17", "-fsyntax-only", "one.c")
