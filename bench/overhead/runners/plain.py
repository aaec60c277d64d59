"""A chain of steps, each a Python process of its own that is handed a number: `python plain.py STEPS`."""

import subprocess
import sys

value = 0
for _ in range(int(sys.argv[1])):
    step = [sys.executable, "-c", "import sys; print(int(sys.argv[1]) + 1)", str(value)]
    value = int(subprocess.run(step, capture_output=True, check=True).stdout)
if value != int(sys.argv[1]):
    sys.exit(f"found {value}")
