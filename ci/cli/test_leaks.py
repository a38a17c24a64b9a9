"""That skepctl frees what it takes: a part of the commands once, with LeakSanitizer."""

import json


def test_nothing_leaks(service, fresh, tmp_path):
    fresh.environment["ASAN_OPTIONS"] = "detect_leaks=1"
    fresh.login(service)
    (tmp_path / "data").write_bytes(bytes(8192))
    (tmp_path / "site.json").write_text(
        json.dumps({"volumes": {"v": {"size_bytes": 4096}}, "guests": {"doc": {"image": "hello", "env": {"A": "B"}}}})
    )
    script = """
        4 image rm none; 2 run hello --file /x=/dev/null --secret y; 0 run hello -n one --secret /k=TMP/data -w 5 -m 1M -a 10.0.2.20/24 -e A=B -e A=C --no-wait; 1 run hello -n one
        1 run hello -n bad -- crash=1; 2 run hello -n no -v db:x; 0 ps -l a=b; 0 inspect one; 0 top -d 100 -n 2; 0 top -d 100 -o json; 0 stop one
        0 set one --cap 10; 0 console bad; 4 console none; 2 console one --detach-keys xx; 4 trace none; 4 vcpus none
        0 volume create db 8K --iops 5; 0 volume import db TMP/data; 4 volume export none TMP/out
        0 operation ls; 4 operation cancel none; 4 operation wait none; 0 context ls -o json; 1 diff -f TMP/site.json -o json
        1 diff -f TMP/site.json; 0 apply -f TMP/site.json; 2 apply -f TMP/data; 0 cert
        0 events --after 0000000000000000-0 --count 1; 0 complete -- inspect o; 2 nonsense; 0 rm one bad doc
        2 client add a TMP/data; 4 client add a TMP/data --role viewer; 4 client set a --role viewer; 0 client ls
        6 login https://127.0.0.1 --certificate TMP/none; 0 volume rm db v; 0 context rm lab
    """
    for line in script.replace("\n", ";").split(";"):
        words = line.replace("TMP", str(tmp_path)).split()
        if words:
            fresh.run(*words[1:], code=int(words[0]))
            assert "LeakSanitizer" not in fresh.errors
