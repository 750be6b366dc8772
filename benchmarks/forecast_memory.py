"""Print, as JSON, the memory in bytes of a process that trains a forecaster on a large panel, and what it did.

`forecasting.py` starts it as a process of its own, as `throughput.py` does with `memory.py`.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
from memory import memory

from sktime_rnn import RNNForecaster


def noise(n_series, n_timesteps):
    """Make a Series with an hourly index (series, time), without holding a second copy of its values."""
    values = np.random.default_rng(0).standard_normal(n_series * n_timesteps)
    hours = pd.date_range("2024-01-01", periods=n_timesteps, freq="h")
    return pd.Series(values, pd.MultiIndex.from_product([np.arange(n_series), hours], names=["series", "time"]))


def main():
    """Measure after the imports, with the data made, and at the highest point of `fit`."""
    parser = argparse.ArgumentParser(description="Measure the memory of a forecaster's fit.")
    parser.add_argument("n_series", type=int)
    parser.add_argument("n_timesteps", type=int)
    arguments = parser.parse_args()

    imported = memory("VmRSS")
    y = noise(arguments.n_series, arguments.n_timesteps)
    with_data = memory("VmHWM")
    start = time.perf_counter()
    RNNForecaster(random_state=0).fit(y)
    seconds = time.perf_counter() - start
    marks = {"values": y.to_numpy().nbytes, "imported": imported, "with_data": with_data, "peak": memory("VmHWM")}
    print(json.dumps(marks | {"seconds": seconds}))


if __name__ == "__main__":
    main()
