"""Run all benchmarks: `python -m benchmarks`, in the repository's root. It takes two hours or more."""

import subprocess
import sys
from pathlib import Path

for script in ("throughput.py", "accuracy.py", "forecasting.py", "forecast_accuracy.py"):
    print(f"# {script}\n", flush=True)
    subprocess.run([sys.executable, Path(__file__).with_name(script)], check=True)
