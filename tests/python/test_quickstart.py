"""The example in clients/python does what it says."""

import subprocess
import sys
from pathlib import Path

QUICKSTART = Path(__file__).resolve().parents[2] / "clients/python/quickstart.py"


def test_quickstart_runs_twice(address):
    for _ in range(2):  # its collection is replaced
        run = subprocess.run([sys.executable, QUICKSTART, address], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        lines = run.stdout.splitlines()
        assert lines[:3] == ["ADBC: ingested 3 rows", "ADBC: 1 book 1   0.000", "ADBC: 4 Dune     0.020"]
        assert lines[-2] == "pyarrow: ['book 10', 'book 2']"
        assert "book 10" in lines[-1]
