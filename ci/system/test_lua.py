"""Lua as a guest (examples/ports/lua): its console, scripts that say what they say on Linux, and a web server."""

import skep
from conftest import NEIGHBOUR
from helpers import MIB, attach, example, read_until
from ports import NATIVE, native, run

# What a port would stumble over: numbers as text and back, strings, patterns, sorting, coroutines, closures, errors,
# garbage collection, deep recursion, time.
SCRIPT = r"""
print(_VERSION, #arg, arg[1], ...)
print(1e15, 1e16, 2^53, 10 // 3, -7 // 2, -7 % 3, 7.5 // 2, 1/0, -1/0, 0.1 + 0.2, 1e-310)
print(math.maxinteger, math.mininteger, math.maxinteger + 1 == math.mininteger, 3 | 8, ~0 >> 60)
print(math.sin(1), math.exp(2), math.log(10), math.log(8, 2), math.fmod(-7, 3), math.tointeger(3.0))
for _, text in ipairs{"0x1p4", "1e+2", " 12 ", "1e", "0x", "9007199254740993", "1e400", "nan"} do
    io.write(text, "=", tostring(tonumber(text)), " ")
end
print()
print(("%5.2f|%-8s|%08d|%x|%g|%a|%q|%i"):format(math.pi, "ab", -42, 255, 1e20, 0.5, "q\n\0z", 7))
print(("hello world from Lua"):gsub("(%w+) (%w+)", "%2 %1"), ("k=v, x=y"):find("(%w)=(%w)", 4))
for key, value in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do io.write(key, value, ";") end
print(utf8.char(228, 8364, 128512), utf8.len("äöü"), #"äöü", ("x"):rep(3, "-"), ("abc"):byte(1, -1))
print(string.pack("<i4 z s1", 100, "hi", "there"):byte(1, -1))
local names = {}
for name in pairs(_G) do names[#names + 1] = name end
table.sort(names)
print(table.concat(names, " "))
local words = {}
for i = 1, 2000 do words[i] = (i * 7919) % 2003 end
table.sort(words)
print(words[1], words[1000], words[2000], #words, select("#", table.unpack(words, 1, 200)))
local producer = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end return "done" end)
print(producer(), producer(), producer(), producer(), pcall(producer))
print(pcall(error, {code = 7}), select(2, pcall(error, "text", 0)), select(2, pcall(function() return nil + 1 end)))
local function depth(n) return n == 0 and 0 or 1 + depth(n - 1) end
print(depth(15000), select(2, pcall(function() local function f() return 1 + f() end return f() end)):match("stack overflow"))
print(pcall(string.rep, "x", 1 << 62), load("return 1 +"), load("x = ", "=chunk"))
local weak = setmetatable({}, {__mode = "k"})
for _ = 1, 20000 do weak[{}] = ("garbage"):rep(3) end
collectgarbage()
print(next(weak), collectgarbage("count") < 1000)
do local closed <close> = setmetatable({}, {__close = function() print("closed") end}) print("open") end
print(os.time{year = 2024, month = 2, day = 29, hour = 12}, os.date("!%Y-%m-%d %H:%M:%S %a %j", 951782400), os.getenv("NO_SUCH"))
print(io.open("/no/such/file"), io.open("/no/such/folder/new", "w"))
print(string.format("%.14g %.17g %.3e", 0.1, 0.1, 12345.678), 255 // 1 | 0, "10" + 5, 10 .. 20)
local function nested(text) return (text:gsub(".", nested)) end
print(pcall(nested, "x"))
print(load("return " .. ("("):rep(250) .. "1" .. (")"):rep(250)))
print(pcall(string.match, ("a"):rep(300000), (".-"):rep(300) .. "b"))
local endless = setmetatable({}, {__index = function(t, k) return t[k + 1] end})
print(pcall(function() return endless[1] end))
goto out
print("not reached")
::out::
error("the end")
"""


def test_a_script_says_what_it_says_on_linux(api, tmp_path):
    (tmp_path / "script.lua").write_text(SCRIPT)
    here = native("lua", "script.lua", "one", "two", cwd=tmp_path, env={"TZ": "UTC"})
    assert here.returncode == 1 and "the end" in here.stdout, here.stdout
    files = [{"path": "/script.lua", "content": SCRIPT}]
    # Enough for Lua's own limit of its stack: 16 MB, more than once while it grows, and a record for each call.
    there = run(api, "lua", "script.lua", "one", "two", memory_bytes=160 * MIB, files=files, expected=1)
    assert there.splitlines() == here.stdout.replace(f"{NATIVE}/", "").splitlines()


def test_lines_typed_on_the_console(api):
    api.upload("lua", example("lua"))
    api.create("repl", image="lua", memory_bytes=2 * MIB)
    console = attach(api, "repl", "?input=true")
    for line, answer in (
        ("x = 6", "> "), ("for i = 1, 2 do", ">> "), ("x = x * i end", "> "), ("x, 'twelve'", "12\ttwelve"),
        ("nil + 1", "attempt to perform arithmetic on a nil value"),
    ):  # fmt: skip
        console.send(f"{line}\n")
        read_until(console, answer.encode())
    console.send("os.exit(7)\n")
    assert api.wait_state("repl", "exited", "crashed")["exit_code"] == 7


def test_a_web_server_of_the_image(machine, api):
    api.upload("lua", example("lua"))
    network = {"address": f"{NEIGHBOUR}/24", "gateway": "10.0.2.2"}
    api.create("web", image="lua", memory_bytes=4 * MIB, args=["/hello.lua"], networks=[network])
    skep.wait_for(lambda: b"listening" in api.log("web"), "the script listens")
    assert machine.wait_page(NEIGHBOUR).startswith(b"Hello from Lua 5.4, path /, request ")
    for _ in range(20):
        assert machine.fetch(NEIGHBOUR).startswith(b"Hello from Lua 5.4")
