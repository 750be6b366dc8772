"""Run all benchmarks: `python -m benchmarks`, in the repository's root. It takes many hours."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "throughput.py",
    "recurrences.py",
    "accuracy.py",
    "long_memory.py",
    "forecasting.py",
    "forecast_accuracy.py",
    "seq2seq.py",
    "seq2seq_accuracy.py",
)
for script in SCRIPTS:
    print(f"# {script}\n", flush=True)
    subprocess.run([sys.executable, Path(__file__).with_name(script)], check=True)
