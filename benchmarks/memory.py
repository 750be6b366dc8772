"""Print, as JSON and in bytes, the memory of a process that trains on many short sequences.

`throughput.py` starts it as a process of its own, because the highest mark of a process never falls. It reads
Linux's own count.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from sktime_rnn import RNNClassifier, Sequences


def memory(field):
    """Return the memory of this process: "VmRSS" is what it holds now, "VmHWM" the most that it ever held.

    `resource.getrusage` would count the parent's memory too, the child's own before it became this program.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def many_sequences(n_sequences, n_timesteps, n_features):
    """Make sequences that lie end to end in one array, without holding a second copy of it."""
    values = np.random.default_rng(0).standard_normal((n_sequences * n_timesteps, n_features), dtype=np.float32)
    return Sequences(values, np.arange(n_sequences + 1) * n_timesteps)


def main():
    """Measure after the imports, with the data made, and at the highest point of `fit`."""
    parser = argparse.ArgumentParser(description="Measure the memory of a fit.")
    parser.add_argument("n_sequences", type=int)
    parser.add_argument("n_timesteps", type=int)
    parser.add_argument("n_features", type=int)
    arguments = parser.parse_args()

    imported = memory("VmRSS")
    X = many_sequences(arguments.n_sequences, arguments.n_timesteps, arguments.n_features)
    y = np.random.default_rng(1).integers(5, size=len(X))
    with_data = memory("VmHWM")
    RNNClassifier(max_epochs=1, random_state=0).fit(X, y)
    marks = {"values": X.values.nbytes, "imported": imported, "with_data": with_data, "peak": memory("VmHWM")}
    print(json.dumps(marks))


if __name__ == "__main__":
    main()
