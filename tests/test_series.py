"""Reading time series, horizons and features onto one time axis."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ids import shown

from sktime_rnn.panel import (
    FeatureReader,
    TimeAxis,
    calendar_cycles,
    calendar_features,
    from_long,
    join_series,
    read_horizon,
    read_series,
    read_static,
    read_step_features,
    season_lengths,
)


def dates(start="2020-01-01", periods=6, freq="D", **options):
    return pd.date_range(start, periods=periods, freq=freq, **options)


def series(index, name=None):
    return pd.Series(np.arange(1.0, len(index) + 1), index=index, name=name)


def panel(lengths=(4, 3), starts=("2020-01-01", "2020-02-01"), freq="D", columns=None):
    """Several series of whole numbers, named a, b, ..., under the index (shop, day)."""
    parts = {}
    for name, length, start in zip("abcdefgh", lengths, starts, strict=False):
        parts[name] = series(dates(start, length, freq)).rename("sold")
    joined = pd.concat(parts, names=["shop", "day"])
    return joined if columns is None else pd.DataFrame({column: joined * 10**i for i, column in enumerate(columns)})


def without_freq(index):
    return pd.DatetimeIndex(list(index), name=index.name)


# -- the time axis: what comes in goes on


DATES = [
    dates(freq="D"),
    dates(freq="2D"),
    dates(freq="h"),
    dates(freq="30min"),
    dates(freq="s"),
    dates(freq="MS"),
    dates("2020-01-31", freq="ME"),
    dates("2020-01-31", freq="BME"),
    dates(freq="B"),
    dates("2020-01-03", freq="W-FRI"),
    dates(freq="QS"),
    dates("2020-03-31", freq="QE"),
    dates("2020-02-29", freq="QE-NOV"),
    dates(freq="YS"),
    dates("2020-12-31", freq="YE"),
    dates("2020-03-26", freq="D", tz="Europe/Berlin"),
    dates("2020-03-28 20:00", freq="h", tz="Europe/Berlin"),
    dates("2020-10-24 23:00", freq="h", tz="Europe/Berlin"),
    dates("2020-10-22", freq="D", tz="Europe/Berlin"),
    dates("2020-01-31", freq="ME", tz="Europe/Berlin"),
    dates(freq="D", tz="UTC"),
    dates("2020-01-31 06:30", freq="ME"),
]


@pytest.mark.parametrize("index", DATES, ids=lambda index: f"{index.freqstr}-{index.tz}")
@pytest.mark.parametrize("told", [True, False], ids=["freq", "inferred"])
def test_dates_go_on_where_they_end(index, told):
    axis = read_series(series(index if told else without_freq(index))).axis
    longer = pd.date_range(index[0], periods=30, freq=index.freq)
    ahead = axis.index(np.arange(6, 30))
    pd.testing.assert_index_equal(ahead, longer[6:])
    assert ahead.freq == axis.freq
    assert axis.freq == index.freq or not told  # quarters have several names
    np.testing.assert_array_equal(axis.places(longer), np.arange(30))
    back = pd.date_range(end=index[0], periods=8, freq=index.freq)
    pd.testing.assert_index_equal(axis.index(np.arange(-7, 1)), back)
    np.testing.assert_array_equal(axis.places(back), np.arange(-7, 1))
    pd.testing.assert_index_equal(axis.index(np.array([9, 7])), longer[[9, 7]])


def test_a_frequency_that_cannot_be_inferred_is_taken_from_the_index():
    index = dates("2020-01-15", 9, "SME")
    pd.testing.assert_index_equal(read_series(series(index[:6])).axis.index(np.arange(6, 9)), index[6:])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("freq", ["h", "D", "MS"])
def test_unit_and_name_of_dates_are_kept(unit, freq):
    axis = read_series(series(dates(freq=freq, unit=unit, name="day"))).axis
    ahead = axis.index(np.arange(6, 9))
    assert (ahead.unit, ahead.name) == (unit, "day")
    for other in ("s", "ms", "us", "ns"):
        np.testing.assert_array_equal(axis.places(ahead.as_unit(other)), [6, 7, 8])


@pytest.mark.parametrize("freq", ["M", "Q", "Q-NOV", "Y", "W", "W-WED", "h", "2M", "3h", "D"])
def test_periods_go_on_where_they_end(freq):
    index = pd.period_range("2020-01-06", periods=5, freq=freq, name="when")
    axis = read_series(series(index)).axis
    longer = pd.period_range(index[0], periods=9, freq=freq, name="when")
    pd.testing.assert_index_equal(axis.index(np.arange(5, 9)), longer[5:])
    np.testing.assert_array_equal(axis.places(longer), np.arange(9))


@pytest.mark.parametrize(
    ("index", "ahead"),
    [
        (pd.RangeIndex(4), [4, 5]),
        (pd.RangeIndex(10, 30, 5, name="t"), [30, 35]),
        (pd.RangeIndex(7, 8), [8, 9]),
        (pd.Index([1990, 1991, 1992], name="year"), [1993, 1994]),
        (pd.Index([1990, 1995, 2000]), [2005, 2010]),
        (pd.Index([1, 2, 3], dtype="uint8"), [4, 5]),
        (pd.Index([1, 2, 3], dtype="Int64"), [4, 5]),
        (pd.Index([1, 2, 3], dtype="int64[pyarrow]"), [4, 5]),
    ],
)
def test_integers_go_on_where_they_end(index, ahead):
    axis = read_series(series(index)).axis
    found = axis.index(np.arange(len(index), len(index) + 2))
    assert list(found) == ahead
    assert found.name == index.name
    assert found.dtype == np.int64
    assert list(axis.index(np.array([1, 0]))) == [ahead[0] + (1 - len(index)) * axis.freq, index[0]]


def test_a_stamp_off_the_axis_has_no_place():
    off = np.iinfo(np.int64).min
    day = TimeAxis(pd.Timestamp("2020-01-01"), pd.offsets.Day(2))
    np.testing.assert_array_equal(day.places(pd.DatetimeIndex(["2020-01-02", None, "2020-01-05"])), [off, off, 2])
    hour = TimeAxis(pd.Timestamp("2020-01-01"), pd.offsets.Hour())
    np.testing.assert_array_equal(hour.places(pd.DatetimeIndex(["2020-01-01 00:30", "2019-12-31"])), [off, -24])
    np.testing.assert_array_equal(TimeAxis(10, 5).places(pd.Index([12, 5])), [off, -1])
    assert len(day.places(pd.DatetimeIndex([]))) == 0


def test_a_stamp_far_away_needs_no_memory():
    second = TimeAxis(pd.Timestamp("1970-01-01"), pd.offsets.Second())
    np.testing.assert_array_equal(second.places(pd.DatetimeIndex(["2200-01-01"])), [7_258_118_400])


def test_a_time_that_the_clocks_skip_is_shifted():
    index = dates("2020-03-24 02:30", 5, tz="Europe/Berlin")
    axis = read_series(series(index)).axis
    ahead = axis.index(np.arange(5, 7))
    assert [str(stamp) for stamp in ahead] == ["2020-03-29 03:00:00+02:00", "2020-03-30 02:30:00+02:00"]


def test_frequency_of_short_dates():
    short = pd.DatetimeIndex(["2020-01-01", "2020-02-01"])
    with pytest.raises(ValueError, match=r"dates of y must have a frequency.*2 of them, 2020-01-01 .*Say it, freq='D'"):
        read_series(series(short))
    axis = read_series(series(short), freq="MS").axis
    assert axis.freq == pd.offsets.MonthBegin()
    assert read_series(series(dates(periods=1))).axis.freq == pd.offsets.Day()
    product = pd.MultiIndex.from_product([["a", "b"], dates(periods=2)])
    assert read_series(series(product)).axis.freq == pd.offsets.Day()


@pytest.mark.parametrize("gone", [[3], [3, 4], [1, 10, 20, 30], [39]])
@pytest.mark.parametrize("freq", ["h", "D", "B", "ME", "QS-OCT", "W-TUE"])
def test_frequency_is_inferred_beside_gaps(freq, gone):
    index = dates(periods=60, freq=freq)
    data = read_series(series(without_freq(index).delete(gone)), gaps="fill")
    assert data.axis.freq == index.freq
    assert len(data.values) == 60
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(data.values)), gone)


@pytest.mark.parametrize(
    "stamps", [["2020-01-01", "2020-01-02", "2020-01-05 11:00"], ["2020-01-01", "2020-01-05", "2020-02-01"]]
)
def test_irregular_dates_are_refused(stamps):
    with pytest.raises(ValueError, match=r"must have a frequency, but none can be inferred from 3 of them"):
        read_series(series(pd.DatetimeIndex(stamps)))


@pytest.mark.parametrize("freq", ["M?", 3.5, pd.DateOffset(months=1), "-1D"])
def test_bad_frequency_is_refused(freq):
    with pytest.raises(ValueError, match=r"freq must be a frequency of pandas with a name.*got .*Name one"):
        read_series(series(without_freq(dates())), freq=freq)


def test_dates_that_do_not_fit_the_frequency_are_refused():
    with pytest.raises(
        ValueError, match=r"must lie on one axis of dates of frequency 'ME'.*2020-01-01 00:00:00 of the"
    ):
        read_series(series(without_freq(dates())), freq="ME")


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([0.0, 1.0, 2.0]),
        pd.Index(["a", "b", "c"]),
        pd.Index(["2020-01", "2020-02", "2020-03"]),
        pd.Index([False, True, True]),
        pd.timedelta_range("1h", periods=3),
        pd.Index([1, 2, 3], dtype=object),
    ],
    ids=lambda index: str(index.dtype),
)
@pytest.mark.parametrize("in_panel", [False, True])
def test_other_indices_are_refused(index, in_panel):
    if in_panel:
        index = pd.MultiIndex.from_arrays([["a"] * 3, index])
        if pd.api.types.is_integer_dtype(index.levels[1].dtype):  # pandas has converted the objects
            return
    with pytest.raises(
        TypeError, match=r"time index of y must hold dates, periods or integers, got .*Convert it first"
    ):
        read_series(series(index))


def test_missing_stamps_are_refused():
    with pytest.raises(ValueError, match="must say when each row was, but it is missing in row 1. Drop"):
        read_series(series(pd.DatetimeIndex(["2020-01-01", None, "2020-01-03"])))
    index = pd.MultiIndex.from_arrays([["a", "a", None], [0, 1, 0]])
    with pytest.raises(
        ValueError, match="must name the series and the time of every row, but level 0 is missing in ro"
    ):
        read_series(series(index))
    index = pd.MultiIndex.from_arrays([["a", "a"], pd.DatetimeIndex(["2020-01-01", None])])
    with pytest.raises(ValueError, match="but level 1 is missing in row 1"):
        read_series(series(index))
    with pytest.raises(ValueError, match=r"must have the levels \(series, time\), got \['t'\] alone"):
        read_series(series(pd.MultiIndex.from_arrays([[0, 1]], names=["t"])))


# -- containers


def test_one_series_keeps_its_name():
    data = read_series(series(dates(), "sold"))
    assert (len(data), data.n_variables, data.title, data.columns, data.names) == (1, 1, "sold", None, None)
    assert list(data.variables) == ["sold"]
    assert list(read_series(series(dates())).variables) == [0]
    wrapped = data.wrap(np.array([[1.0], [2.0]]), np.zeros(2, np.int64), np.array([6, 7]))
    pd.testing.assert_series_equal(wrapped, pd.Series([1.0, 2.0], dates("2020-01-07", 2), name="sold"))


def test_a_frame_keeps_its_columns():
    frame = pd.DataFrame({"x": series(dates()), 5: 2.0}).rename_axis(columns="what")
    data = read_series(frame)
    assert data.n_variables == 2
    wrapped = data.wrap(np.ones((1, 2)), np.zeros(1, np.int64), np.array([6]))
    pd.testing.assert_index_equal(wrapped.columns, frame.columns)
    np.testing.assert_array_equal(data.values, frame.to_numpy(float))


@pytest.mark.parametrize(
    "y",
    [
        np.arange(4.0),
        [0, 1, 2, 3],
        (0, 1.0, 2, 3),
        np.arange(4, dtype=np.int16),
        np.arange(4).astype(object),
        np.arange(8.0).reshape(4, 2),
        np.arange(4.0)[:, None],
    ],
)
def test_arrays_come_back_as_arrays(y):
    data = read_series(y)
    expected = np.asarray(y, dtype=float).reshape(4, -1)
    np.testing.assert_array_equal(data.values, expected)
    wrapped = data.wrap(data.values, np.zeros(4, np.int64), np.arange(4))
    assert isinstance(wrapped, np.ndarray)
    assert wrapped.shape == np.asarray(y).shape
    assert data.axis == TimeAxis(0, 1)


def test_masked_arrays_are_missing_values():
    y = np.ma.masked_array([1, 2, 3], [False, True, False])
    np.testing.assert_array_equal(read_series(y, missing="mask").values[:, 0], [1, np.nan, 3])


def test_a_panel_is_read_series_by_series():
    y = panel((4, 3, 1), ("2020-01-01", "2020-02-01", "2019-12-01"))
    data = read_series(y)
    np.testing.assert_array_equal(data.values[:, 0], y)
    np.testing.assert_array_equal(data.offsets, [0, 4, 7, 8])
    np.testing.assert_array_equal(data.first, [0, 31, -31])
    np.testing.assert_array_equal(data.last, [3, 33, -31])
    pd.testing.assert_index_equal(data.names, pd.Index(["a", "b", "c"], name="shop"))
    assert data.name_of(1) == "series 'b'"


def test_panel_index_round_trip():
    y = panel((4, 3), columns=["sold", "left"])
    data = read_series(y)
    rows = np.repeat([0, 1], data.lengths)
    places = np.concatenate([data.first[i] + np.arange(data.lengths[i]) for i in range(2)])
    pd.testing.assert_frame_equal(data.wrap(data.values, rows, places), y)


def test_series_keep_the_order_of_appearance():
    y = pd.concat([panel().loc[["b"]], panel().loc[["a"]]])
    data = read_series(y)
    assert list(data.names) == ["b", "a"]
    index = data.index(np.array([0, 0, 1]), np.array([31, 32, 0]))
    stamps = pd.DatetimeIndex(["2020-02-01", "2020-02-02", "2020-01-01"])
    assert index.tolist() == list(zip("bba", stamps, strict=True))
    expected = pd.MultiIndex.from_tuples(index.tolist(), names=["shop", "day"])
    pd.testing.assert_index_equal(index, expected)
    assert index.levels[0].is_monotonic_increasing  # as pandas builds it: slices and lookups need no sorting


def test_interleaved_rows_are_regrouped(global_random_seed):
    y = panel((5, 4, 6), ("2020-01-01", "2020-02-01", "2019-12-01"), columns=["x", "y"])
    mixed = y.sort_index(level=1)
    data, expected = read_series(mixed), read_series(y)
    assert sorted(data.names) == ["a", "b", "c"]
    for i, name in enumerate(data.names):
        rows = slice(data.offsets[i], data.offsets[i + 1])
        np.testing.assert_array_equal(data.values[rows], y.loc[name])
    rng = np.random.default_rng(global_random_seed)
    shuffled = y.iloc[rng.permutation(len(y))]
    data = read_series(shuffled, gaps="fill")
    order = data.names.get_indexer(expected.names)
    np.testing.assert_array_equal(data.take(order).values, expected.values)


@pytest.mark.parametrize(
    "names",
    [
        [("north", 1), ("south", 1), ("north", 2)],
        [(1, pd.Timestamp("2020-01-01")), (2, pd.Timestamp("2021-01-01")), (1, pd.Timestamp("2021-01-01"))],
    ],
)
def test_several_levels_name_the_series(names):
    parts = {name: series(pd.period_range("2020-01", periods=3, freq="M")) + i for i, name in enumerate(names)}
    y = pd.concat(parts, names=["region", "shop", "month"])
    data = read_series(y)
    assert data.names.tolist() == names
    assert data.names.names == ["region", "shop"]
    index = data.index(np.array([2, 2, 0]), np.array([3, 4, 3]))
    assert index.names == ["region", "shop", "month"]
    assert [key[:2] for key in index] == [names[2], names[2], names[0]]
    with pytest.raises(ValueError, match=r"series \('north', 2\) has more|series \(1, Timestamp.* has more"):
        read_series(pd.concat([y, y.iloc[-1:]]))


def test_unused_levels_are_ignored():
    y = panel().loc[["b"]]
    data = read_series(y)
    assert list(data.names) == ["b"]
    assert data.axis.start == pd.Timestamp("2020-02-01")


@pytest.mark.parametrize("names", [pd.CategoricalIndex(["b", "a"]), pd.Index([20, 3]), pd.Index([1.5, 0.5])])
def test_any_label_names_a_series(names):
    index = pd.MultiIndex.from_product([names, range(3)], names=["id", None])
    data = read_series(series(index))
    assert list(data.names) == list(names)
    ahead = data.index(np.array([0, 1]), np.array([3, 3]))
    assert ahead.tolist() == [(names[0], 3), (names[1], 3)]
    assert ahead.names == ["id", None]


def test_labels_are_spoken_as_users_write_them():
    index = pd.MultiIndex.from_arrays([[7, 7], [0, 0]])
    with pytest.raises(ValueError, match="series 7 has more than one at 0"):
        read_series(series(index))


@pytest.mark.parametrize(
    "dtype",
    ["int64", "float32", "bool", "uint8", "Int32", "Float64", "boolean", "int64[pyarrow]", "double[pyarrow]", object],
)
def test_number_types(dtype):
    values = pd.array([1, 0, 1], dtype=dtype)
    for y in (pd.Series(values), pd.DataFrame({"a": values, "b": [1.0, 0.0, 1.0]})):
        data = read_series(y)
        assert data.values.dtype == np.float64
        np.testing.assert_array_equal(data.values[:, 0], [1, 0, 1])
    masked = pd.Series(values).astype(dtype if str(dtype)[0] in "IFd" else object)
    masked.iloc[1] = None
    np.testing.assert_array_equal(read_series(masked, missing="mask").values[:, 0], [1, np.nan, 1])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", "b", "c"]),
        pd.Series(["1", "2", "3"]),
        pd.Series(["1", 2, 3], dtype=object),
        pd.Series([1j, 2, 3]),
        pd.Series([1, 2, 3], dtype="category"),
        pd.Series(dates(periods=3)),
        pd.Series([[1], [2], [3]]),
        pd.Series(["a", "b", "c"], dtype="string[pyarrow]"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_what_is_no_number_is_refused(column):
    match = r"y must hold real numbers, got .* in .*such as .*Convert it, or leave the column out"
    with pytest.raises(TypeError, match=match):
        read_series(column)
    with pytest.raises(TypeError, match=r"in 'b'"):
        read_series(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column}))


@pytest.mark.parametrize(
    "y",
    [
        3.0,
        "text",
        {"a": [1]},
        np.array(["a", "b"]),
        np.zeros((2, 2, 2)),
        [[1, 2], [3]],
        [np.zeros(3), np.zeros(3)],
        [pd.Series([1.0]), pd.Series([2.0])],
        [pd.DataFrame({"a": [1.0]})],
        np.array([1j]),
    ],
    ids=shown,
)
def test_other_containers_are_refused(y):
    with pytest.raises(TypeError, match=r"y must be a Series, a DataFrame .* got .*Join several series by pd\.concat"):
        read_series(y)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match=r"y must be a series to forecast, got None. Pass it: fit\(y\)"):
        read_series(None)
    for empty in (pd.Series([], dtype=float), pd.DataFrame(index=range(3)), np.zeros(0), np.zeros((0, 2)), []):
        with pytest.raises(ValueError, match=r"y must hold one step or more, got shape .*Pass the series"):
            read_series(empty)


def test_a_variable_twice_is_refused():
    with pytest.raises(ValueError, match="y must name each variable once, but 'a' is there twice. Rename it"):
        read_series(pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]))


@pytest.mark.parametrize("make", [lambda v: pd.Series(v), lambda v: v, lambda v: pd.DataFrame({"a": v})])
def test_what_is_read_is_our_own(make):
    values = np.arange(5.0)
    y = make(values)
    data = read_series(y)
    if isinstance(y, np.ndarray):
        y[0] = 99
    else:
        y.iloc[0] = 99
    assert data.values[0, 0] == 0
    values.flags.writeable = False
    before = values.copy()
    read_series(values, gaps="fill")
    np.testing.assert_array_equal(values, before)


# -- order, gaps, missing values


def test_unsorted_rows():
    y = series(dates())
    mixed = y.iloc[[0, 2, 1, 3, 5, 4]]
    with pytest.raises(
        ValueError, match=r"y must increase, but the series goes back in time at 2020-01-02 .*sort_index"
    ):
        read_series(mixed)
    np.testing.assert_array_equal(read_series(mixed, gaps="fill").values[:, 0], y)
    p = panel()
    mixed = p.iloc[[0, 1, 2, 3, 5, 4, 6]]
    with pytest.raises(ValueError, match=r"but series 'b' goes back in time at 2020-02-01 00:00:00"):
        read_series(mixed)
    np.testing.assert_array_equal(read_series(mixed, gaps="fill").values[:, 0], p)
    falling = series(pd.RangeIndex(5, 0, -1))
    np.testing.assert_array_equal(read_series(falling, gaps="fill").values[:, 0], [5, 4, 3, 2, 1])


@pytest.mark.parametrize("gaps", ["error", "fill"])
def test_duplicates_are_refused(gaps):
    with pytest.raises(ValueError, match=r"the series has more than one at 2020-01-02 .*Drop or aggregate"):
        read_series(series(dates()[[0, 1, 1, 2]]), gaps=gaps, freq="D")
    with pytest.raises(ValueError, match=r"series 'b' has more than one at 2020-02-03"):
        read_series(pd.concat([panel(), panel().iloc[-1:]]), gaps=gaps)


def test_gaps():
    y = series(dates()).drop(pd.Timestamp("2020-01-03"))
    match = r"y must have a row for every step, but after 2020-01-02 .* the series goes on at 2020-01-04.*: 2020-01-03 "
    with pytest.raises(ValueError, match=match + r".*Add the steps, or set gaps='fill'"):
        read_series(y, freq="D")
    np.testing.assert_array_equal(read_series(y, freq="D", gaps="fill").values[:, 0], [1, 2, np.nan, 4, 5, 6])
    p = panel((4, 4, 2), ("2020-01-01", "2020-02-01", "2020-01-15"))
    holes = p.drop([("b", pd.Timestamp("2020-02-02")), ("b", pd.Timestamp("2020-02-03"))])
    with pytest.raises(ValueError, match=r"after 2020-02-01 00:00:00 series 'b' goes on at 2020-02-04"):
        read_series(holes)
    data = read_series(holes, gaps="fill")
    np.testing.assert_array_equal(data.values[:, 0], [1, 2, 3, 4, 1, np.nan, np.nan, 4, 1, 2])
    np.testing.assert_array_equal(data.first, [0, 31, 14])
    np.testing.assert_array_equal(data.lengths, [4, 4, 2])


def test_a_gap_that_nobody_can_mean_is_refused():
    y = series(pd.Index([0, 1, 10**12]))
    match = (
        r"at most 10000 times as long, but its 3 rows lie among 1000000000001 steps of integers. Is a time stamp wrong"
    )
    with pytest.raises(ValueError, match=match):
        read_series(y, gaps="fill")


def test_series_of_two_frequencies_are_refused():
    y = pd.concat({"a": series(dates(periods=9)), "b": series(dates("2020-01-01 12:00", 3))})
    with pytest.raises(
        ValueError, match=r"one axis of dates of frequency 'D' without.*2020-01-01 12:00:00 of series 'b'"
    ):
        read_series(y)


def test_missing_values():
    y = series(dates(), "sold")
    y.iloc[[2, 4]] = np.nan
    match = r"a value is missing at 2020-01-03 00:00:00 of the series \(2 in all\): NaN .*fill it in, .*missing='mask'"
    with pytest.raises(ValueError, match=match):
        read_series(y)
    np.testing.assert_array_equal(read_series(y, missing="mask").values[:, 0], [1, 2, np.nan, 4, np.nan, 6])
    frame = panel(columns=["x", "y"]).astype(float)
    frame.iloc[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"missing at 2020-02-02 00:00:00 of series 'b', variable 'y' \(1 in all\)"):
        read_series(frame)


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_infinite_values_are_refused(missing):
    y = panel()
    y.iloc[4] = -np.inf
    with pytest.raises(ValueError, match=r"a value is infinite at 2020-02-01 .*of series 'b'.*To go on, replace it"):
        read_series(y, missing=missing)


def test_series_that_nobody_observed_are_refused():
    with pytest.raises(ValueError, match=r"observed step in every series, but the series has none. Leave it out"):
        read_series(series(dates()) * np.nan, missing="mask")
    y = panel()
    y.loc["b"] = np.nan
    with pytest.raises(ValueError, match=r"but series 'b' has none"):
        read_series(y, missing="mask")
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 1.0]})
    with pytest.raises(ValueError, match=r"an observed step of all variables in every series"):
        read_series(frame, missing="mask")


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (series(dates(tz="UTC")), r"must hold dates of frequency 'D' without time zone as in fit, got datetime64.*UTC"),
        (series(pd.RangeIndex(3)), r"as in fit, got int64. Convert it"),
        (series(pd.period_range("2020", periods=3, freq="D")), r"got period\[D\]"),
        (series(dates("2020-01-01 06:00")), r"2020-01-01 06:00:00 of the series does not"),
    ],
)
def test_another_axis_is_refused(y, match):
    with pytest.raises(ValueError, match=match):
        read_series(y, axis=read_series(series(dates())).axis)


def test_take_and_head():
    data = read_series(panel((4, 3, 2), ("2020-01-01", "2020-02-01", "2020-01-05")))
    taken = data.take(np.array([2, 0]), keep=3)
    np.testing.assert_array_equal(taken.values[:, 0], [1, 2, 2, 3, 4])
    np.testing.assert_array_equal(taken.first, [4, 1])
    assert list(taken.names) == ["c", "a"]
    np.testing.assert_array_equal(data.head(np.array([1, 2, 0])).values[:, 0], [1, 1, 2])


# -- joining


def test_join_appends_and_replaces():
    old = read_series(series(dates()))
    new = read_series(pd.Series([50.0, 60, 70], dates("2020-01-05", 3)), axis=old.axis)
    data, n_new, rows = join_series(old, new)
    np.testing.assert_array_equal(data.values[:, 0], [1, 2, 3, 4, 50, 60, 70])
    np.testing.assert_array_equal(n_new, [1])
    np.testing.assert_array_equal(rows[1], [4, 5, 6])
    np.testing.assert_array_equal(old.values[:, 0], [1, 2, 3, 4, 5, 6])


def test_join_brings_new_series():
    old = read_series(panel())
    y = pd.concat({"c": series(dates("2020-03-01", 2)), "b": series(dates("2020-02-04", 1)) * 4}, names=["shop", "day"])
    data, n_new, rows = join_series(old, read_series(y.rename("sold"), axis=old.axis, after=old))
    assert list(data.names) == ["a", "b", "c"]
    np.testing.assert_array_equal(data.values[:, 0], [1, 2, 3, 4, 1, 2, 3, 4, 1, 2])
    np.testing.assert_array_equal(n_new, [0, 1, 2])
    np.testing.assert_array_equal(data.values[rows[1], 0], [1, 2, 4])


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (
            series(dates("2020-01-08", 2)),
            r"go on where the series ended, at 2020-01-07.*start at 2020-01-08.*in between",
        ),
        (
            series(dates("2019-12-30", 9)),
            r"or replace steps from 2020-01-01.*got a start at 2019-12-30.*earlier steps out",
        ),
        (series(dates("2020-01-07", 2), "other"), r"must hold the variables \[0\] as in fit, got \['other'\]"),
        (
            panel((2,), ("2020-01-07",)).rename(None),
            r"must be a single series as in fit, got a panel whose series are n",
        ),
    ],
)
def test_join_refuses_what_does_not_follow(y, match):
    old = read_series(series(dates()))
    with pytest.raises(ValueError, match=match):
        join_series(old, read_series(y, axis=old.axis))


def test_arrays_follow_arrays_alone():
    old = read_series([1.0, 2.0])
    new = read_series(np.array([3.0]), axis=old.axis, after=old)
    np.testing.assert_array_equal(join_series(old, new)[0].values[:, 0], [1, 2, 3])
    old = read_series(pd.Series([1.0, 2.0]))
    with pytest.raises(
        TypeError, match=r"y must be a Series or a DataFrame as in fit.*got an array. Give it that index"
    ):
        read_series(np.array([3.0]), axis=old.axis, after=old)


# -- horizons


DAYS = TimeAxis(pd.Timestamp("2020-01-01"), pd.offsets.Day())
MONTHS = TimeAxis(pd.Period("2020-01", "M"), pd.offsets.MonthEnd())
SUMMER = TimeAxis(pd.Timestamp("2020-03-20", tz="Europe/Berlin"), pd.offsets.Day())
LAST = np.array([9])


@pytest.mark.parametrize(
    ("fh", "steps"),
    [
        (3, [3]),
        (np.int32(3), [3]),
        (-2, [-2]),
        (0, [0]),
        ([1, 2, 3], [1, 2, 3]),
        ((5, 1), [1, 5]),
        (range(1, 4), [1, 2, 3]),
        (np.array([2, -1, 0]), [-1, 0, 2]),
        (pd.Index([1, 4]), [1, 4]),
        (pd.RangeIndex(1, 3), [1, 2]),
        (pd.array([1, 2], dtype="Int64"), [1, 2]),
        (pd.Timedelta("3D"), [3]),
        (timedelta(days=2), [2]),
        (np.timedelta64(2, "D"), [2]),
        (pd.offsets.Day(4), [4]),
        (pd.DateOffset(months=1), [31]),
        (pd.TimedeltaIndex(["1D", "3D"]), [1, 3]),
        ([pd.Timedelta("2D"), pd.Timedelta("-1D")], [-1, 2]),
        ([pd.offsets.Day(1), pd.offsets.Week(1)], [1, 7]),
        (pd.DatetimeIndex(["2020-01-11", "2020-01-14"]), [1, 4]),
        ([pd.Timestamp("2020-01-12"), pd.Timestamp("2020-01-11")], [1, 2]),
        (pd.Timestamp("2020-01-10"), [0]),
        (datetime(2020, 1, 9), [-1]),
        (np.datetime64("2020-01-11"), [1]),
        (np.array(["2020-01-11", "2020-01-12"], dtype="datetime64[D]"), [1, 2]),
        (dates("2020-01-11", 3), [1, 2, 3]),
        (SimpleNamespace(is_relative=True, to_pandas=lambda: pd.Index([1, 2])), [1, 2]),
        (SimpleNamespace(is_relative=False, to_pandas=lambda: dates("2020-01-12", 2)), [2, 3]),
    ],
    ids=shown,
)
def test_horizons_of_dates(fh, steps):
    found = read_horizon(fh, DAYS, LAST)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [steps])


@pytest.mark.parametrize(
    ("fh", "axis", "steps"),
    [
        (pd.period_range("2020-11", periods=2, freq="M"), MONTHS, [1, 2]),
        (pd.Period("2020-10", "M"), MONTHS, [0]),
        ([pd.Period("2021-01", "M")], MONTHS, [3]),
        (pd.offsets.MonthEnd(2), MONTHS, [2]),
        (SimpleNamespace(is_relative=False, to_pandas=lambda: pd.Index([60, 65])), TimeAxis(10, 5), [1, 2]),
        ([60, 65], TimeAxis(10, 5), [60, 65]),
        (pd.Timedelta("3D"), SUMMER, [3]),
        (pd.offsets.Day(3), SUMMER, [3]),
        (pd.Timestamp("2020-03-30", tz="Europe/Berlin"), SUMMER, [1]),
        (pd.Timedelta("24h"), TimeAxis(SUMMER.start, pd.offsets.Hour()), [24]),
    ],
    ids=shown,
)
def test_horizons_of_other_axes(fh, axis, steps):
    np.testing.assert_array_equal(read_horizon(fh, axis, LAST), [steps])


def test_horizons_of_series_that_end_at_different_times():
    last = np.array([9, 11, 9])
    np.testing.assert_array_equal(read_horizon([1, 2], DAYS, last), [[1, 2]] * 3)
    np.testing.assert_array_equal(read_horizon(dates("2020-01-12", 2), DAYS, last), [[2, 3], [0, 1], [2, 3]])
    np.testing.assert_array_equal(read_horizon(pd.DateOffset(months=1), DAYS, np.array([0, 31])), [[31], [29]])


@pytest.mark.parametrize(
    ("fh", "error", "match"),
    [
        (None, TypeError, r"fh must be a whole number, a list or range.*got None. Pass range\(1, 13\)"),
        (True, TypeError, "got True"),
        ([True, False], TypeError, "got bool"),
        (np.bool_(True), TypeError, "got "),
        (1.0, TypeError, r"got 1\.0"),
        ([1.0, 2.0], TypeError, "dates of frequency 'D' without time zone, got float64"),
        (np.array([0.5]), TypeError, "got float64"),
        (pd.Series([1, 2]), TypeError, r"got a Series. .*Does scoring= name a metric\?"),
        (pd.DataFrame({"a": [1]}), TypeError, "got a DataFrame"),
        ([], ValueError, "got none"),
        (range(0), ValueError, "got none"),
        ("2020-01-12", TypeError, "got '2020-01-12'"),
        (["2020-01-12"], TypeError, r"got (str|object): \['2020-01-12'\]"),
        ({1, 2}, TypeError, r"got \{1, 2\}"),
        ([[1, 2]], TypeError, "got "),
        (np.ones((1, 2), dtype=int), TypeError, "got "),
        ([1, 2, 1], ValueError, "fh must hold each step once, got a step twice.*Drop the duplicates"),
        (pd.DatetimeIndex(["2020-01-12", "2020-01-12"]), ValueError, "each step once"),
        ([pd.Timedelta("7D"), pd.offsets.Week()], ValueError, "each step once"),
        ([pd.Timedelta("7D"), 3], TypeError, "durations and others mixed"),
        (
            pd.Timestamp("2020-01-12 06:00"),
            ValueError,
            r"time stamps of y's axis.*but 2020-01-12 06:00:00 does not lie",
        ),
        (pd.Timedelta("36h"), ValueError, "2020-01-11 12:00:00 does not lie on it"),
        (pd.NaT, ValueError, "NaT does not lie on it"),
        ([pd.Timestamp("2020-01-12"), pd.NaT], ValueError, "NaT does not lie on it"),
        (dates("2020-01-12", tz="UTC"), TypeError, "without time zone, got datetime64.*UTC"),
        (pd.period_range("2020-01", periods=2, freq="M"), TypeError, r"got period\[M\]"),
        (pd.MultiIndex.from_product([[1], [2]]), TypeError, "got object"),
        (SimpleNamespace(is_relative=False, to_pandas=lambda: pd.Index([60])), TypeError, "got int64"),
    ],
    ids=shown,
)
def test_bad_horizons_are_refused(fh, error, match):
    with pytest.raises(error, match=match):
        read_horizon(fh, DAYS, LAST)


@pytest.mark.parametrize(
    ("fh", "axis", "match"),
    [
        (pd.Timedelta("1D"), TimeAxis(0, 1), "fh must hold durations of which y's steps, integers, are a part"),
        (pd.Timedelta("1D"), MONTHS, "durations of which y's steps, periods of frequency 'M', are a part"),
        (pd.period_range("2020-01", periods=2, freq="Q"), MONTHS, "which are periods of frequency 'M', got period"),
        (dates(), MONTHS, "which are periods of frequency 'M', got datetime64"),
        ([1.5], TimeAxis(0, 1), "which are integers, got float64"),
    ],
)
def test_horizons_of_another_kind_are_refused(fh, axis, match):
    with pytest.raises(TypeError, match=match):
        read_horizon(fh, axis, LAST)


# -- the calendar


@pytest.mark.parametrize(
    ("freq", "lengths"),
    [
        ("s", (60, 3600, 86_400)),
        ("10s", (6, 360, 8640)),
        ("min", (60, 1440, 10_080)),
        ("15min", (96, 672)),
        ("h", (24, 168)),
        ("6h", (4, 28)),
        ("D", (7, 365)),
        ("B", (5, 260)),
        ("W-FRI", (52,)),
        ("ME", (12,)),
        ("MS", (12,)),
        ("QS-OCT", (4,)),
        ("3MS", (4,)),
        ("YE", ()),
    ],
)
def test_season_lengths(freq, lengths):
    assert season_lengths(pd.tseries.frequencies.to_offset(freq)) == lengths
    assert season_lengths(pd.DateOffset(days=1)) == season_lengths(1) == ()


def test_season_lengths_of_periods():
    for freq, lengths in (("M", (12,)), ("Q", (4,)), ("W", (52,)), ("h", (24, 168)), ("Y", ())):
        assert season_lengths(pd.period_range("2020", periods=2, freq=freq).freq) == lengths


def test_calendar_features():
    axis = TimeAxis(pd.Timestamp("2020-01-01 18:00"), pd.offsets.Hour())
    table = calendar_features(axis, 0, 30, ["hour_of_day"])
    assert table.dtype == np.float32
    angle = 2 * np.pi * ((18 + np.arange(30)) % 24) / 24
    np.testing.assert_allclose(table, np.stack([np.sin(angle), np.cos(angle)], axis=1), atol=1e-6)
    for monthly in (MONTHS, TimeAxis(pd.Timestamp("2020-01-31"), pd.offsets.MonthEnd())):
        table = calendar_features(monthly, 2, 2, ["month_of_year"])
        np.testing.assert_allclose(table, [[np.sqrt(0.75), 0.5], [1, 0]], atol=1e-6)
    assert calendar_features(TimeAxis(0, 1), 0, 3, []).shape == (3, 0)


@pytest.mark.parametrize(
    ("axis", "n_steps", "cycles"),
    [
        (DAYS, 20, []),
        (DAYS, 22, ["day_of_week"]),
        (DAYS, 100, ["day_of_week", "day_of_month"]),
        (DAYS, 1200, ["day_of_week", "day_of_month", "day_of_year"]),
        (MONTHS, 36, []),
        (MONTHS, 40, ["month_of_year"]),
        (TimeAxis(pd.Period("2020Q1"), pd.offsets.QuarterEnd(startingMonth=12)), 14, ["quarter_of_year"]),
        (TimeAxis(pd.Timestamp("2020-01-01"), pd.offsets.Hour()), 24 * 22, ["hour_of_day", "day_of_week"]),
        (TimeAxis(pd.Timestamp("2020-01-05"), pd.offsets.Week(weekday=6)), 200, ["day_of_year"]),
        (TimeAxis(pd.Period("2020", "Y"), pd.offsets.YearEnd()), 100, []),
        (TimeAxis(0, 1), 100, []),
    ],
    ids=shown,
)
def test_calendar_cycles_are_seen_three_times(axis, n_steps, cycles):
    assert calendar_cycles(axis, 0, n_steps) == cycles


# -- features


Y = panel((3, 2), ("2020-01-01", "2020-01-01"))
FRAME = pd.DataFrame(
    {
        "price": [1.0, 2, 3, 4, 5],
        "open": [True, False, True, True, True],
        "kind": pd.Categorical(["x", "y", "x", "z", "z"]),
        "town": ["p", "p", "p", "q", "q"],
    },
    index=Y.index,
)


def reading(X, y=Y, missing="error", **options):
    reader = FeatureReader("X", missing).fit(X)
    return read_step_features(reader, X, read_series(y), **options)


def test_columns_are_numbers_or_codes():
    reader = FeatureReader().fit(FRAME)
    assert (reader.numeric_, reader.categorical_) == (["price", "open"], ["kind", "town"])
    features, present = read_step_features(reader, FRAME, read_series(Y))
    np.testing.assert_array_equal(features.numbers, [[1, 1], [2, 0], [3, 1], [4, 1], [5, 1]])
    np.testing.assert_array_equal(features.codes, [[1, 1], [2, 1], [1, 1], [3, 2], [3, 2]])
    assert present == list(FRAME.columns)
    assert features.numbers.dtype == np.float64


@pytest.mark.parametrize("dtype", ["int8", "float32", "Int64", "boolean", "double[pyarrow]", object])
def test_features_of_number_types(dtype):
    X = pd.DataFrame({"a": pd.array([1, 0, 1, 1, 0], dtype=dtype)}, index=Y.index)
    features, _ = reading(X)
    np.testing.assert_array_equal(features.numbers[:, 0], [1, 0, 1, 1, 0])


@pytest.mark.parametrize("dtype", ["str", object, "category", "string[pyarrow]"])
def test_features_of_text_types(dtype):
    X = pd.DataFrame({"a": pd.Series(list("uvuwv"), index=Y.index, dtype=dtype)})
    reader = FeatureReader().fit(X)
    for other in ("str", object, "category", "string[pyarrow]"):
        later = pd.DataFrame({"a": pd.Series(["w", "new", None, "u", "v"], index=Y.index, dtype=other)})
        features, _ = read_step_features(reader, later, read_series(Y))
        np.testing.assert_array_equal(features.codes[:, 0], [3, 0, 0, 1, 2])


def test_rows_in_another_order(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    expected, _ = reading(FRAME)
    features, _ = read_step_features(
        FeatureReader().fit(FRAME), FRAME.iloc[rng.permutation(5)][["town", "open", "kind", "price"]], read_series(Y)
    )
    np.testing.assert_array_equal(features.numbers, expected.numbers)
    np.testing.assert_array_equal(features.codes, expected.codes)


def test_a_series_and_arrays_are_features():
    y = series(dates())
    for X in (y * 2, (y * 2).to_numpy(), (y * 2).to_numpy()[:, None]):
        features, _ = reading(X, y)
        np.testing.assert_array_equal(features.numbers[:, 0], y * 2)
    with pytest.raises(TypeError, match=r"X must be a DataFrame with the index of y.*for a panel, got an array"):
        reading(np.ones((5, 1)))


LATE = (("b", pd.Timestamp("2020-01-03")),)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (FRAME.iloc[:-1], ValueError, r"row for every step of y, but 2020-01-02 .* of series 'b' is not there. Add it"),
        (FRAME.iloc[[0, 1, 2]], ValueError, r"but 2020-01-01 00:00:00 of series 'b'"),
        (
            pd.concat([FRAME, FRAME.iloc[-1:].set_axis(pd.MultiIndex.from_tuples(LATE))]),
            ValueError,
            r"X must have the index of y, but its row \('b', Timestamp\('2020-01-03.* is not in y. Pass X\.loc\[y\.ind",
        ),
        (
            pd.concat([FRAME, FRAME.iloc[:1]]),
            ValueError,
            r"one row for each step, but has more than one for \('a', Time",
        ),
        (FRAME.droplevel(0), ValueError, "must be a panel whose series are named by 1 level.* got a single series"),
        (FRAME.reset_index(drop=True), ValueError, "got a single series. Give it that index"),
        (FRAME.set_axis(Y.index.set_levels(range(3), level=1)), ValueError, "time index of X must hold dates.*int64"),
        (
            FRAME.set_axis(Y.index.set_levels(dates("2020-01-01 06:00", 3), level=1)),
            ValueError,
            r"must lie on y's axis of dates of frequency 'D'.*but 2020-01-01 06:00:00 of series 'a' does not",
        ),
        (
            FRAME.rename(columns={"open": "price"}),
            ValueError,
            "X must name each column once, but 'price' is there twice",
        ),
        (
            FRAME.assign(when=pd.Timestamp("2020")),
            TypeError,
            "numbers, booleans, categories or text, got datetime64.*'when",
        ),
        (FRAME.assign(z=1j), TypeError, "got complex128 in column 'z'. Convert"),
        (FRAME.assign(z=[[1]] * 5), TypeError, "got object in column 'z'"),
        (
            FRAME.assign(price=[1, np.nan, 3, 4, 5]),
            ValueError,
            r"'price' is missing at \('a', Timestamp\('2020-01-02.*mask",
        ),
        (FRAME.assign(price=[1, 2, 3, 4, np.inf]), ValueError, r"'price' is infinite at \('b', Timestamp\('2020-01-02"),
        ([1, 2, 3], TypeError, "X must be a DataFrame, a Series or a 1-D or 2-D array, got list"),
        (np.ones((5, 1, 1)), TypeError, r"got ndarray of shape \(5, 1, 1\)"),
    ],
)
def test_bad_features_are_refused(X, error, match):
    with pytest.raises(error, match=match):
        reading(X)


def test_features_masked():
    X = FRAME.assign(price=[1, np.nan, 3, 4, 5])
    features, _ = reading(X, missing="mask")
    np.testing.assert_array_equal(features.numbers[:, 0], [1, np.nan, 3, 4, 5])
    with pytest.raises(ValueError, match="is infinite"):
        reading(FRAME.assign(price=np.inf), missing="mask")


def test_columns_of_fit_are_needed():
    reader = FeatureReader().fit(FRAME)
    data = read_series(Y)
    with pytest.raises(ValueError, match=r"X must have the columns \['price', .*of fit, but 'open' is not there, got"):
        read_step_features(reader, FRAME.drop(columns="open"), data)
    features, present = read_step_features(reader, FRAME.assign(more="?").drop(columns="open"), data, optional=["open"])
    assert present == ["price", "kind", "town"]
    assert np.isnan(features.numbers[:, 1]).all()
    with pytest.raises(TypeError, match="X must hold numbers in column 'price' as in fit, got (str|object)"):
        read_step_features(reader, FRAME.assign(price="a"), data)
    with pytest.raises(TypeError, match="X must hold text in column 'town' as in fit, got int64"):
        read_step_features(reader, FRAME.assign(town=1), data)


def test_features_of_the_steps_ahead():
    data = read_series(Y)
    index = pd.MultiIndex.from_product([["b", "z", "a"], dates("2020-01-02", 6)])
    X = pd.DataFrame({"day": index.get_level_values(1).day, "who": index.get_level_values(0)}, index=index)
    reader = FeatureReader().fit(X)
    features, _ = read_step_features(reader, X, data, n_future=3)
    np.testing.assert_array_equal(features.numbers[:, 0], [4, 5, 6, 3, 4, 5])
    np.testing.assert_array_equal(features.codes[:, 0], [3, 3, 3, 1, 1, 1])
    short = X.drop([("a", pd.Timestamp("2020-01-06"))])
    match = r"row for the 3 steps after the end of y, but 2020-01-06 00:00:00 of series 'a' is not there"
    with pytest.raises(ValueError, match=match):
        read_step_features(reader, short, data, n_future=3)
    features, _ = read_step_features(reader, short, data, n_future=3, needed=np.array([1, 3]))
    np.testing.assert_array_equal(features.numbers[:, 0], [4, 4, 4, 3, 4, 5])
    features, _ = read_step_features(reader, short.loc[["b"]], data, n_future=3, needed=np.array([0, 3]))
    np.testing.assert_array_equal(features.numbers[:, 0], [0, 0, 0, 3, 4, 5])


def test_static_features():
    data = read_series(Y)
    static = pd.DataFrame({"size": [2.0, 1.0], "kind": ["v", "u"]}, index=["b", "a"])
    features = read_static(FeatureReader("static").fit(static), static, data)
    np.testing.assert_array_equal(features.numbers, [[1], [2]])
    np.testing.assert_array_equal(features.codes, [[2], [1]])
    one = read_series(series(dates()))
    features = read_static(FeatureReader("static").fit(static), static.iloc[:1], one)
    np.testing.assert_array_equal(features.numbers, [[2]])


@pytest.mark.parametrize(
    ("static", "error", "match"),
    [
        (
            pd.DataFrame({"size": [2.0]}, index=["b"]),
            ValueError,
            "static must have a row for every series, but series 'a'",
        ),
        (
            pd.DataFrame({"size": [2.0] * 3}, index=["b", "a", "b"]),
            ValueError,
            "one row for each series, but 'b' is th",
        ),
        (pd.DataFrame({"size": [2.0, np.nan]}, index=["a", "b"]), ValueError, "'size' is missing at 'b'"),
        (pd.DataFrame({"size": [2.0]}, index=pd.MultiIndex.from_tuples([("a", "b")])), ValueError, "named by 1 level"),
        (np.ones((2, 1)), TypeError, "static must be a DataFrame indexed by the series of a panel, got an array"),
        ({"a": 1}, TypeError, "static must be a DataFrame, a Series or a 1-D or 2-D array, got dict"),
    ],
)
def test_bad_static_features_are_refused(static, error, match):
    with pytest.raises(error, match=match):
        read_static(FeatureReader("static").fit(static), static, read_series(Y))


def test_one_series_has_one_static_row():
    static = pd.DataFrame({"size": [2.0, 1.0]})
    with pytest.raises(ValueError, match="static must have one row for a single series, got 2. Pass one"):
        read_static(FeatureReader("static").fit(static), static, read_series(series(dates())))


# -- long tables


LONG = pd.DataFrame(
    {
        "region": ["n", "s", "n", "n"],
        "shop": [1, 1, 1, 2],
        "day": pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-01", "2020-01-01"]),
        "sold": [2.0, 3.0, 1.0, 4.0],
        "price": [20, 30, 10, 40],
    }
)


def test_from_long():
    y, X = from_long(LONG, id=["region", "shop"], time="day", target="sold", features=["price"])
    assert y.index.names == ["region", "shop", "day"]
    assert y.name == "sold"
    assert list(y) == [1, 2, 4, 3]
    assert list(X["price"]) == [10, 20, 40, 30]
    data = read_series(y, freq="D")
    assert data.names.tolist() == [("n", 1), ("n", 2), ("s", 1)]
    y = from_long(LONG[LONG["shop"] == 1], id="region", time="day", target=["sold", "price"])
    assert list(y.columns) == ["sold", "price"]
    assert y.index.names == ["region", "day"]
    _, X = from_long(LONG, id=("region", "shop"), time="day", target="sold", features="price")
    assert list(X.columns) == ["price"]


def test_bad_long_tables_are_refused():
    with pytest.raises(ValueError, match=r"df must have the columns .*but 'week' is not there, got .*Name a column"):
        from_long(LONG, id="shop", time="week", target="sold")
    with pytest.raises(TypeError, match=r"df must be a DataFrame with the columns .*got dict. Convert it"):
        from_long({"shop": [1]}, id="shop", time="day", target="sold")


# -- many series


def test_large_panels_are_read_without_loops():
    n_series, n_steps = 2_000, 50
    index = pd.MultiIndex.from_product([[f"s{i}" for i in range(n_series)], dates(periods=n_steps, freq="h")])
    y = pd.Series(np.arange(float(len(index))), index=index)
    data = read_series(y)
    np.testing.assert_array_equal(data.values[:, 0], y)
    np.testing.assert_array_equal(data.offsets, n_steps * np.arange(n_series + 1))
    owner, places = np.repeat(np.arange(n_series), 24), np.tile(np.arange(50, 74), n_series)
    expected = pd.MultiIndex.from_product([data.names, data.axis.index(np.arange(50, 74))])
    pd.testing.assert_index_equal(data.index(owner, places), expected)
