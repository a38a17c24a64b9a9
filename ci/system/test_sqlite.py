"""SQLite as a guest (examples/ports/sqlite): the shell and speedtest1 as on Linux, and commits that outlive everything."""

import contextlib
import os
import random
import re

import nbd
import pytest
import skep
from helpers import MIB, attach, disk_image, example, read_more, read_until
from ports import native, run, untimed
from storage import format_disk
from test_files import command, exported

ROUNDS, SEED = int(os.environ.get("SKEP_ROUNDS", 4)), int(os.environ.get("SKEP_SEED", 20))
DB = "/data/app.db"
MOUNTED = [{"name": "db", "mount": "/data", "format": True}]

# Each commit changes several pages, and what it did can be computed from its number.
TEXT = "printf('%.*c', 200 + n % 7 * 300, char(65 + n % 26))"
TABLES = """
CREATE TABLE entry(n INTEGER PRIMARY KEY, text TEXT);
CREATE INDEX by_text ON entry(text);
CREATE TABLE total(sum INTEGER);
INSERT INTO total VALUES(0);
"""
COMMIT = f"""
BEGIN;
INSERT INTO entry SELECT n, {TEXT} FROM (SELECT coalesce(max(n), 0) + 1 AS n FROM entry);
UPDATE total SET sum = sum + (SELECT max(n) FROM entry);
COMMIT;
SELECT 'committed ' || max(n) || '.' FROM entry;
"""
CHECK = f"""
PRAGMA integrity_check;
SELECT count(*), max(n), (SELECT sum FROM total), sum(text <> {TEXT}) FROM entry;
"""
# 4,096 commits: more than anybody waits for.
COMMITS = [
    {"path": "/commits.sql", "content": ".read /hundreds.sql\n" * 16},
    {"path": "/hundreds.sql", "content": ".read /dozens.sql\n" * 16},
    {"path": "/dozens.sql", "content": COMMIT * 16},
]


@pytest.fixture(scope="module")
def machine(folder, tmp_path_factory):
    disk = disk_image(tmp_path_factory.mktemp("sqlite"), "disk", 256 * MIB)
    with skep.Machine(folder / "sqlite", elf=skep.build_exists(), disks=[disk], cpus=2) as machine:
        format_disk(machine.wait_api())
        yield machine
        machine.check_alive()


@pytest.fixture
def db(machine, api):
    """A volume without anything on it."""
    api.ok("PUT", "/v1/volumes/db", json={"size_bytes": 16 * MIB})
    return api


def sqlite(api, *args, **spec):
    return run(api, "sqlite3", "-batch", *args, volumes=MOUNTED, **spec)


SCRIPT = """
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT UNIQUE, born REAL);
INSERT INTO person(name, born) VALUES('Ada', 1815.94), ('Grace', 1906.94), ('Zoë', NULL);
WITH RECURSIVE r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r WHERE n < 3000)
INSERT INTO person(name, born) SELECT printf('p%05d', n), n * 1.5 FROM r;
.mode box
SELECT * FROM person WHERE id < 5;
.mode json
SELECT name, json_object('born', born) AS j, round(born / 3, 4) AS third FROM person WHERE id BETWEEN 3 AND 5;
.mode list
INSERT INTO person(name) VALUES('Ada');
SELECT substr(name, 1, 2) AS p, count(*), sum(born), avg(born) FROM person GROUP BY p ORDER BY p;
DELETE FROM person WHERE id % 3 = 0;
VACUUM;
PRAGMA integrity_check;
PRAGMA page_count;
.schema
""" + f"""
SELECT {"+".join(["1"] * 1000)}, {"abs(" * 900}-1{")" * 900};
SELECT json_extract('{"[" * 900}1{"]" * 900}', '${"[0]" * 900}');
"""


def test_the_shell_says_what_it_says_on_linux(db, tmp_path):
    (tmp_path / "script.sql").write_text(SCRIPT)
    here = native("sqlite3", "-batch", tmp_path / "app.db", f".read {tmp_path}/script.sql")
    there = sqlite(
        db, DB, ".read /script.sql", files=[{"path": "/script.sql", "content": SCRIPT}], expected=here.returncode
    )
    assert "UNIQUE constraint failed: person.name" in there
    assert there.replace("/script.sql", f"{tmp_path}/script.sql") == here.stdout
    # What the guest wrote, Linux reads.
    image = exported(db, "db", tmp_path / "db.img")
    command("/sbin/e2fsck", "-fn", image)
    command("/sbin/debugfs", "-R", f"dump /app.db {tmp_path}/guests.db", image)
    dumps = [native("sqlite3", tmp_path / name, ".dump").stdout for name in ("guests.db", "app.db")]
    assert dumps[0] == dumps[1] and "Grace" in dumps[0]


def test_statements_typed_on_the_console(db):
    db.upload("sqlite3", example("sqlite3"))
    db.create("shell", image="sqlite3", memory_bytes=4 * MIB, args=["-interactive", DB], volumes=MOUNTED)
    console = attach(db, "shell", "?input=true")
    for line, answer in (
        ("CREATE TABLE t(a); INSERT INTO t VALUES(6), (7);", "sqlite> "),
        ("SELECT printf('product %d',", "...> "),
        ("max(a) * min(a)) FROM t;", "product 42"),
    ):
        console.send(f"{line}\n")
        read_until(console, answer.encode())
    console.send(".exit 5\n")
    assert db.wait_state("shell", "exited", "crashed")["exit_code"] == 5


def test_speedtest1_computes_what_it_computes_on_linux(db, tmp_path):
    options = ("--size", 3, "--verify")
    for there, here in (((), ()), ((DB,), (tmp_path / "speed.db",))):
        expected = native("speedtest1", *options, *here)
        assert expected.returncode == 0 and "Verification Hash: " in expected.stdout, expected.stdout
        args = [str(word) for word in (*options, *there)]
        said = run(db, "speedtest1", *args, volumes=MOUNTED)
        assert untimed(said) == untimed(expected.stdout)


@contextlib.contextmanager
def committing(api):
    """A guest that commits one after the other. Yields a function that waits for the next few; it tells the last one."""
    api.upload("sqlite3", example("sqlite3"))
    spec = {"args": ["-batch", DB, ".read /commits.sql"], "files": COMMITS, "volumes": MOUNTED}
    api.create("writer", image="sqlite3", memory_bytes=4 * MIB, **spec)
    console = attach(api, "writer")
    said = b""

    def acknowledged(least):
        nonlocal said
        found = []
        while len(found) < least:
            said = read_more(console, said)
            found = re.findall(rb"committed (\d+)\.", said)
        return int(found[-1])

    yield acknowledged
    console.shutdown()


def check(api, at_least):
    """Everything that was acknowledged is there, and everything that is there is whole."""
    verdict, row = sqlite(api, DB, CHECK).splitlines()
    assert verdict == "ok"
    count, last, total, wrong = map(int, row.split("|"))
    assert wrong == 0 and count == last and total == last * (last + 1) // 2, row
    assert last >= at_least, f"{at_least} commits were acknowledged, and {last} are there"
    return last


def test_commits_outlive_guests_that_are_killed(db):
    chooser = random.Random(SEED)
    sqlite(db, DB, TABLES)
    last = 0
    for _ in range(ROUNDS):
        with committing(db) as acknowledged:
            seen = acknowledged(chooser.randint(1, 25))
            db.delete_guest("writer")
        assert seen > last
        last = check(db, seen)


def test_commits_outlive_power_cuts(folder, tmp_path):
    """The machine's disk keeps what was flushed, and by chance some of the rest."""
    disk = nbd.Disk(64 * MIB)
    options = {"elf": skep.build_exists(), "cpus": 2}
    with disk.serve(tmp_path / "disk.sock") as path:
        with skep.Machine(folder / "cut", disks=[f"nbd:unix:{path}"], **options) as machine:
            api = machine.wait_api()
            format_disk(api)
            api.ok("PUT", "/v1/volumes/db", json={"size_bytes": 32 * MIB})
            sqlite(api, DB, TABLES)
            with committing(api) as acknowledged:
                acknowledged(1)
                disk.mark("0")
                for count in range(1, 40):
                    disk.mark(f"{acknowledged(count)}")
    for cut in disk.cuts(ROUNDS, SEED, since="0"):
        image = tmp_path / "cut.img"
        image.write_bytes(cut.image())
        with skep.Machine(folder / f"after-{cut.moment}", disks=[image], **options) as machine:
            api = machine.wait_api()
            api.delete_guest("writer")  # it would go on
            check(api, int(cut.marks()[-1]))
