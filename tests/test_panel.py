"""Frames and panels to arrays."""

import numpy as np
import pandas as pd
import pytest

from sktime_rnn.panel import check_target_index, feature_names, frame_values, is_panel, read_panel


def make_panel(rows, **columns):
    index = pd.MultiIndex.from_tuples(rows, names=["machine", "time"])
    return pd.DataFrame(columns or {"x": np.arange(float(len(rows)))}, index=index)


def test_instances_keep_their_order_of_appearance():
    panel = read_panel(make_panel([("b", 0), ("b", 1), ("a", 5)], x=[1.0, 2.0, 3.0], y=[4.0, 5.0, 6.0]))
    assert list(panel.instances) == ["b", "a"]
    np.testing.assert_array_equal(panel.offsets, [0, 2, 3])
    np.testing.assert_array_equal(panel.values, [[1, 4], [2, 5], [3, 6]])
    assert list(panel.feature_names) == ["x", "y"]
    assert panel.rows is None


def test_interleaved_rows_are_regrouped():
    panel = read_panel(make_panel([("b", 0), ("a", 0), ("b", 1), ("a", 1)]))
    np.testing.assert_array_equal(panel.values[:, 0], [0, 2, 1, 3])
    np.testing.assert_array_equal(panel.rows, [0, 2, 1, 3])


def test_regrouping_equals_a_loop_over_the_groups(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    frame = make_panel([(int(i), t) for t, i in enumerate(rng.integers(7, size=100))])
    panel = read_panel(frame)
    for i, instance in enumerate(panel.instances):
        expected = frame.xs(instance).to_numpy()
        np.testing.assert_array_equal(panel.values[panel.offsets[i] : panel.offsets[i + 1]], expected)


def test_unused_levels_are_ignored():
    frame = make_panel([("a", 0), ("b", 0), ("b", 1)]).loc[["b"]]
    panel = read_panel(frame)
    assert list(panel.instances) == ["b"]
    np.testing.assert_array_equal(panel.offsets, [0, 2])


@pytest.mark.parametrize(
    "stamps",
    [
        pd.to_datetime(["2020-02-01", "2020-03-01", "2020-01-01"]),
        pd.PeriodIndex(["2020-02", "2020-03", "2020-01"], freq="M"),
        pd.Index([2, 30, 1]),
        pd.Index(["b", "c", "a"]),
    ],
)
def test_any_ordered_type_is_a_time_stamp(stamps):
    index = pd.MultiIndex.from_arrays([["a", "a", "b"], stamps])
    np.testing.assert_array_equal(read_panel(pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=index)).offsets, [0, 2, 3])


def test_a_series_is_a_panel_of_one_feature():
    series = make_panel([("a", 0), ("a", 1)])["x"]
    assert is_panel(series)
    assert read_panel(series).values.shape == (2, 1)


def test_nullable_numbers_become_nan():
    frame = pd.DataFrame({"x": pd.array([1, None], dtype="Int64"), "y": [0.5, 1.5]})
    np.testing.assert_array_equal(frame_values(frame), [[1, 0.5], [np.nan, 1.5]])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([("a", 0), ("b", 3), ("b", 3)], r"instance b has more than one at time stamp 3\. Drop or aggregate"),
        ([("a", 0), ("a", 2), ("a", 1)], r"instance a goes back in time at time stamp 1\. Sort the rows"),
        ([("a", 2), ("b", 0), ("a", 1)], r"instance a goes back in time at time stamp 1"),
        ([("a", 0), (None, 1)], r"first index level of X .* missing in row 1"),
        ([("a", 0), ("b", None)], r"second index level of X .* missing in row 1, instance b"),
        ([("a", 0, 0)], r"must have two levels, \(instance, time\), but it has 3"),
    ],
)
def test_bad_index_is_refused(rows, match):
    frame = pd.DataFrame({"x": np.zeros(len(rows))}, index=pd.MultiIndex.from_tuples(rows))
    with pytest.raises(ValueError, match=match):
        read_panel(frame)


def test_time_stamps_of_several_types_are_refused():
    index = pd.MultiIndex.from_arrays([["a", "a"], pd.Index([1, "x"], dtype=object)])
    with pytest.raises(TypeError, match="time stamps of X must be comparable"):
        read_panel(pd.DataFrame({"x": [1.0, 2.0]}, index=index))


def test_feature_names():
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
    assert list(feature_names(frame)) == ["a", "b"]
    assert list(feature_names([frame, frame])) == ["a", "b"]
    assert feature_names(pd.DataFrame([[1.0]])) is None
    assert feature_names(pd.DataFrame({"recordings": [[1.0, 2.0]]})) is None
    assert feature_names(np.ones((2, 2))) is None
    with pytest.raises(TypeError, match="column 1 is a int among str"):
        feature_names(pd.DataFrame({"a": [1.0], 1: [2.0]}))


def test_target_in_another_order_is_refused():
    instances = pd.Index(["b", "a"])
    with pytest.raises(ValueError, match=r"position 0 it has a where X has b.*y = y\.loc\[X\.index\.unique"):
        check_target_index(pd.Series([1, 2], index=["a", "b"]), instances)


def test_the_advised_order_passes():
    X = make_panel([("b", 0), ("a", 0)])
    y = pd.Series([1, 2], index=["a", "b"]).loc[X.index.unique(level=0)]
    check_target_index(y, read_panel(X).instances)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, 2], index=["b", "a"]),
        pd.DataFrame({"y": [1, 2]}),
        pd.Series([1, 2], index=["c", "a"]),
        np.array([1, 2]),
        [1, 2],
    ],
)
def test_other_targets_pass(y):
    check_target_index(y, pd.Index(["b", "a"]))


def test_per_step_target_is_compared_by_instance():
    y = make_panel([("a", 0), ("b", 0)])
    with pytest.raises(ValueError, match="by position"):
        check_target_index(y, pd.Index(["b", "a"]))
