"""Prints how many tests of a JUnit file passed and failed. Errors count as failures."""

import sys
import xml.etree.ElementTree as xml

passed = failed = 0
for case in xml.parse(sys.argv[1]).iter("testcase"):
    if case.find("failure") is not None or case.find("error") is not None:
        failed += 1
    elif case.find("skipped") is None:
        passed += 1
print(passed, failed)
