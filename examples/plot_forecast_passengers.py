"""
How many passengers next year?
==============================

Twelve years of monthly airline passengers: a trend, a season that grows with it, and 144 values in all. Can a recurrent
network continue so short a series, and does it know how far off it may be?
"""

# %%
# The last two years are kept back. The network sees the ten years before them.
from sktime_rnn import ForecastDisplay, RNNForecaster
from sktime_rnn.datasets import load_airpassengers

y = load_airpassengers()
forecaster = RNNForecaster(random_state=0).fit(y[:-24], fh=range(1, 25))
forecast = forecaster.predict()
print(f"mean absolute percentage error {100 * (forecast / y[-24:] - 1).abs().mean():.1f} %")

# %%
# The fan holds the true value with the probability that it names.
import matplotlib.pyplot as plt

ForecastDisplay.from_estimator(forecaster, y, coverage=(0.5, 0.8, 0.95))
plt.show()

# %%
# Is that better than simpler forecasts? Five cuts through the series, a year ahead each.
from sktime_rnn import AutoregressiveForecaster, ExpandingWindowSplitter, NaiveForecaster, backtest

table = backtest(
    {
        "RNN": RNNForecaster(random_state=0),
        "AR": AutoregressiveForecaster(),
        "last year": NaiveForecaster(strategy="seasonal"),
    },
    y,
    cv=ExpandingWindowSplitter(horizon=12, n_splits=5),
)
print(table.groupby("forecaster")[["smape", "mase", "coverage_0.8", "fit_seconds"]].mean().round(2))
