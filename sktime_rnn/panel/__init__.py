"""pandas to arrays: panels, wide frames, index, frequency, the future index."""

from sktime_rnn.panel._features import FeatureReader, Features, read_static, read_step_features
from sktime_rnn.panel._frames import (
    Panel,
    check_target_index,
    feature_names,
    frame_values,
    has_axes,
    is_column,
    is_panel,
    read_panel,
    series_values,
)
from sktime_rnn.panel._horizon import read_horizon
from sktime_rnn.panel._long import from_long
from sktime_rnn.panel._series import SeriesData, join_series, read_series
from sktime_rnn.panel._time import TimeAxis, calendar_cycles, calendar_features, season_lengths

__all__ = [
    "FeatureReader",
    "Features",
    "Panel",
    "SeriesData",
    "TimeAxis",
    "calendar_cycles",
    "calendar_features",
    "check_target_index",
    "feature_names",
    "frame_values",
    "from_long",
    "has_axes",
    "is_column",
    "is_panel",
    "join_series",
    "read_horizon",
    "read_panel",
    "read_series",
    "read_static",
    "read_step_features",
    "season_lengths",
    "series_values",
]
