"""That skepctl frees what it takes: each group of commands once, with LeakSanitizer."""

import json

import skep


def test_nothing_leaks(service, fresh, tmp_path):
    fresh.environment["ASAN_OPTIONS"] = "detect_leaks=1"
    fresh.login(service)
    (tmp_path / "words").write_text("correct horse battery\n")
    (tmp_path / "data").write_bytes(bytes(8192))
    (tmp_path / "site.json").write_text(
        json.dumps({"volumes": {"v": {"size_bytes": 4096}}, "guests": {"doc": {"image": "hello", "env": {"A": "B"}}}})
    )
    files = {"ELF": skep.BUILD / "examples/hello.elf", "TMP": tmp_path}
    script = """
        0 host; 0 context ls; 0 image push ELF leak; 4 image rm leak none
        0 run hello -n one -m 1M -a 10.0.2.20/24 -e A=B -e A=C --restart never; 1 run hello -n one
        1 run hello -n bad -- crash=1; 2 run hello -n no -v db:x; 2 run hello -n no -e x
        0 ps; 0 cert; 0 cert --pem; 0 events --after 0000000000000000-0 --count 1; 0 inspect one; 0 top -d 100 -n 2; 0 restart one; 0 stop one
        0 volume create db 8K --iops 5; 1 volume create db 8K; 0 volume import db TMP/data
        0 volume export db TMP/out; 4 volume export none TMP/out; 0 volume ls; 0 disk ls
        1 diff -f TMP/site.json; 0 apply -f TMP/site.json; 0 diff -f TMP/site.json; 2 apply -f TMP/data
        0 audit; 0 crashes; 0 backup TMP/backup -p TMP/words; 6 restore TMP/none -p TMP/words
        0 complete -- inspect o; 2 nonsense; 0 rm one bad doc; 0 volume rm db v; 0 context rm lab; 2 ps
    """
    for line in script.replace("\n", ";").split(";"):
        words = line.split()
        for name, value in files.items():
            words = [word.replace(name, str(value)) for word in words]
        if words:
            fresh.run(*words[1:], code=int(words[0]))
            assert "LeakSanitizer" not in fresh.errors
