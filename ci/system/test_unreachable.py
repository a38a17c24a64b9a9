"""A guest believes that nobody listens where it sends to, if that is said of what it sent, and nothing else."""

import segments
import unreachable
from test_segments import needs_tap


@needs_tap
def test_forged_messages(tmp_path):
    done = segments.run_inside(tmp_path, "all", unreachable.__file__)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
