"""What passed and what failed, for the terminal and for ci/test."""

import xml.sax.saxutils as xml


class Results:
    def __init__(self):
        self.cases = []

    def add(self, title, problem=None):
        self.cases.append((title, problem))
        if problem:
            print(f"FAILED {title}: {problem}", flush=True)

    def failed(self):
        return sum(problem is not None for _, problem in self.cases)

    def write_junit(self, path):
        rows = []
        for title, problem in self.cases:
            failure = f"<failure>{xml.escape(problem)}</failure>" if problem else ""
            rows.append(f"<testcase name={xml.quoteattr(title)}>{failure}</testcase>")
        path.write_text(f"<testsuite>{''.join(rows)}</testsuite>\n")

    def finish(self, junit):
        """Writes the file, if one is wished, and the last line; returns the exit code."""
        if junit:
            self.write_junit(junit)
        print(f"{len(self.cases) - self.failed()} passed, {self.failed()} failed")
        return 1 if self.failed() else 0
