"""QuickJS as a guest (examples/ports/quickjs): its own tests, scripts that say what they say on Linux, and its console."""

import json
import pathlib
import re
import subprocess

import pytest
import skep
from helpers import MIB, attach, example, read_until
from ports import native, run

# What a port would stumble over: numbers as text and back, dates with and without daylight saving time, sorting, regular
# expressions, Unicode, large integers, exceptions, deep recursion, promises, timers, what the system says.
SCRIPT = r"""
import * as std from "std";
import * as os from "os";
print(scriptArgs.slice(1).join("|"), 0.1 + 0.2, 1e21, 1e-7, 123456789.125.toFixed(2), (255).toString(16), 1 / 0, -0, 5e-324);
print((1e21).toPrecision(5), (0.000001234).toExponential(2), parseFloat("1e400"), Number("0x1f"), Math.hypot(3, 4));
print(Math.sin(1), Math.exp(2), Math.log10(1000), Math.pow(2, 0.5), Math.fround(5.5), Math.clz32(1), Math.imul(0xffffffff, 5));
for (const month of [0, 3, 6, 9, 11]) {
    const date = new Date(2024, month, 15, 12);
    print(date.toString(), date.toISOString(), date.getTimezoneOffset());
}
print(new Date(0).toLocaleString(), Date.parse("2024-02-29T12:00:00+02:00"), new Date(NaN).getTime());
print([5, 1, 10].sort().join(), [5, 1, 10].sort((a, b) => a - b).join(), [..."a😀ä"].length, "ß".toUpperCase(), "ÄÖ".toLowerCase());
print("2024-02-29".replace(/(?<y>\d+)-(?<m>\d+)/u, "$<m>/$<y>"), /\p{Script=Greek}/u.test("λ"), "aBc".match(/b/i).index);
print((2n ** 200n).toString(), BigInt.asIntN(8, 255n), -7n / 2n, JSON.stringify({ a: [1, null, "\u2028"], b: undefined }));
const depth = (n) => (n == 0 ? 0 : 1 + depth(n - 1));
print(depth(1000));
try { (function f() { f(); })(); } catch (error) { print(error.name, error.message); }
try { null.x; } catch (error) { print(error instanceof TypeError, error.message); }
print(new Map([[NaN, 1]]).get(NaN), [...new Set([1, 1, 2])], Symbol("s").toString(), `${[1, [2, 3]]}`, typeof new Proxy({}, {}));
print(new Uint8Array(new Float64Array([1.5]).buffer).join(), new DataView(new ArrayBuffer(8)).getBigUint64(0));
const garbage = [];
for (let i = 0; i < 20000; i++) garbage[i % 10] = { i, self: null, text: "x".repeat(i % 50) };
std.gc();
print(garbage.length, std.sprintf("%5.2f|%-4s|%04d|%x", Math.PI, "ab", 42, 255));
print(std.open("/no/such", "r"), std.getenv("TZ"), std.getenv("NO_SUCH"), os.stat("/no/such")[1] == std.Error.ENOENT);
print(std.loadFile("/script.js")?.length > 1000 || std.loadFile("script.js").length > 1000);
function* squares() { for (let i = 1; i <= 3; i++) yield i * i; }
print([...squares()]);
(async () => {
    await null;
    print("then");
    await new Promise((resolve) => os.setTimeout(resolve, 10));
    print("later");
    std.exit(3);
})();
print("first");
"""

# QuickJS' own tests, but for those that start other programs or load shared libraries, and the files that each needs.
OWN_TESTS = {
    "bigint": [], "builtin": [], "closure": [], "language": [], "loop": [], "worker": ["test_worker_module.js"],
    "cyclic_import": ["fixture_cyclic_import.js", "assert.js"],
}  # fmt: skip


@pytest.fixture(scope="module")
def upstream():
    """Where QuickJS' source is."""
    paths = subprocess.run([skep.ROOT / "ci/deps", "--paths"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return pathlib.Path(re.search(r"^quickjs \S+ (.+)$", paths, re.M)[1])


@pytest.mark.parametrize("name", OWN_TESTS)
def test_its_own_tests(api, upstream, name):
    names = [f"test_{name}.js", *OWN_TESTS[name]]
    files = [{"path": f"/{name}", "content": (upstream / "tests" / name).read_text()} for name in names]
    here = native("qjs", "--std", names[0], cwd=upstream / "tests")
    assert here.returncode == 0, here.stdout
    assert run(api, "qjs", "--std", names[0], memory_bytes=16 * MIB, files=files) == here.stdout


def test_a_script_says_what_it_says_on_linux(api, tmp_path):
    (tmp_path / "script.js").write_text(SCRIPT)
    zone = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}
    here = native("qjs", "-m", "script.js", "one", "two", cwd=tmp_path, env=zone)
    assert here.returncode == 3 and "later" in here.stdout, here.stdout
    files = [{"path": "/script.js", "content": SCRIPT}]
    there = run(api, "qjs", "-m", "script.js", "one", "two", memory_bytes=16 * MIB, files=files, env=zone, expected=3)
    assert there.splitlines() == here.stdout.splitlines()


def test_the_script_of_the_image(api):
    said = json.loads(run(api, "qjs", "/hello.js", "you", memory_bytes=4 * MIB))
    assert said["hello"] == "you" and said["now"].startswith("20")


def test_lines_typed_on_the_console(api):
    api.upload("qjs", example("qjs"))
    api.create("repl", image="qjs", memory_bytes=8 * MIB)
    console = attach(api, "repl", "?input=true")
    read_until(console, b"qjs > ")
    for line, answer in (("6 * 7", "42"), ("[1, 2].map(x => x / 4)", "0.25"), ("nothing", "ReferenceError")):
        console.send(f"{line}\n")
        read_until(console, answer.encode())
    console.send("std.exit(7)\n")
    assert api.wait_state("repl", "exited", "crashed")["exit_code"] == 7
