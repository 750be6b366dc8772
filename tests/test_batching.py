"""Batches: every sequence once, little padding, cut without a copy of the data; statistics of steps in float64."""

import math

import numpy as np
import pytest
import torch

from sktime_rnn import Sequences, check_sequences
from sktime_rnn.batching import (
    BatchIterator,
    PairDataset,
    PairIterator,
    SequenceDataset,
    Targets,
    WindowDataset,
    WindowFeatures,
    WindowIterator,
    as_dataset,
    as_tensor,
    cut_by_length,
    flat_steps,
    scale_steps,
    step_statistics,
)
from sktime_rnn.networks import InputScaling
from sktime_rnn.windows import SeriesScale, Windows, WindowScaler, training_origins

CHUNK = 1 << 16


@pytest.fixture
def rng(global_random_seed):
    return np.random.default_rng(global_random_seed)


def of_lengths(lengths, step_shape=(2,), dtype=np.float64, rng=None):
    """Sequences with these lengths; each step holds its place in the flat values, or random numbers."""
    n_steps = int(np.sum(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if rng is not None:
        return Sequences(rng.normal(size=(n_steps, *step_shape)).astype(dtype), offsets)
    if step_shape == ():
        return Sequences(np.arange(n_steps), offsets)
    size = int(np.prod(step_shape))
    return Sequences(np.arange(n_steps * size, dtype=dtype).reshape(n_steps, *step_shape), offsets)


def log_uniform(rng, n, low=10, high=300):
    return np.exp(rng.uniform(np.log(low), np.log(high), size=n)).astype(np.int64)


def iterator(lengths, **kwargs):
    return BatchIterator(SequenceDataset(of_lengths(lengths)), **kwargs)


# --- which sequences make a batch ---


@pytest.mark.parametrize("max_batch_steps", [None, 500])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 2000])
def test_each_epoch_holds_every_sequence_once(rng, n, max_batch_steps):
    batches = iterator(log_uniform(rng, n), batch_size=32, max_batch_steps=max_batch_steps, rng=rng)
    for _ in range(3):
        np.testing.assert_array_equal(np.sort(np.concatenate(batches.plan())), np.arange(n))


def test_prediction_holds_every_sequence_once_and_sorts_all_of_them(rng):
    lengths = log_uniform(rng, 700)
    plan = iterator(lengths, batch_size=64).plan()
    order = np.concatenate(plan)
    np.testing.assert_array_equal(order, np.argsort(lengths, kind="stable"))
    assert [len(batch) for batch in plan] == [64] * 10 + [60]


def test_batches_are_full_but_at_the_end_of_the_epoch(rng):
    plan = iterator(log_uniform(rng, 1003), batch_size=8, rng=rng).plan()  # pools of 400, 400 and 203
    sizes = sorted(len(batch) for batch in plan)
    assert sizes == [3] + [8] * 125


def test_batches_are_of_similar_length_within_their_pool(rng):
    lengths = log_uniform(rng, 400)  # one pool
    plan = iterator(lengths, batch_size=8, rng=rng).plan()
    shortest, longest = (np.array([f(lengths[batch]) for batch in plan]) for f in (np.min, np.max))
    order = np.lexsort([longest, shortest])
    assert (longest[order][:-1] <= shortest[order][1:]).all()


def test_there_is_little_padding(rng):
    lengths = log_uniform(rng, 2000)
    plan = iterator(lengths, batch_size=64, rng=rng).plan()
    padded = sum(len(batch) * lengths[batch].max() for batch in plan)
    assert padded < 1.1 * lengths.sum()
    unsorted = sum(64 * lengths[start : start + 64].max() for start in range(0, 1984, 64))
    assert unsorted > 2 * lengths.sum()  # what batches in any order would cost


def test_the_plan_is_decided_by_the_generator_alone(rng):
    lengths = log_uniform(rng, 300)

    def plans(seed):
        batches = iterator(lengths, batch_size=16, rng=np.random.default_rng(seed))
        return [np.concatenate(batches.plan()).tolist() for _ in range(2)]

    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    first = plans(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert plans(1) == first
    assert plans(2) != first
    assert first[0] != first[1]


def test_batches_change_their_members_from_epoch_to_epoch(rng):
    batches = iterator(log_uniform(rng, 1000), batch_size=10, rng=rng)
    first, second = ({frozenset(batch.tolist()) for batch in batches.plan()} for _ in range(2))
    assert len(first & second) < 5


def test_equal_lengths_are_shuffled(rng):
    batches = iterator(np.full(100, 7), batch_size=10, rng=rng)
    first, second = ({frozenset(batch.tolist()) for batch in batches.plan()} for _ in range(2))
    assert not first & second


@pytest.mark.parametrize("training", [True, False])
def test_most_steps_of_a_batch(rng, training):
    lengths = np.concatenate([log_uniform(rng, 200), [1000, 2000]])
    batches = iterator(lengths, batch_size=16, max_batch_steps=900, rng=rng if training else None)
    plan = batches.plan()
    for batch in plan:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= 900
    alone = [batch[0] for batch in plan if lengths[batch].max() > 900]
    assert sorted(alone) == [200, 201]
    np.testing.assert_array_equal(np.sort(np.concatenate(plan)), np.arange(len(lengths)))


@pytest.mark.parametrize(
    ("lengths", "batch_size", "max_steps", "bounds"),
    [
        ([], 4, None, [0]),
        ([], 4, 10, [0]),
        ([5], 4, 3, [0, 1]),
        ([1, 2, 3, 4, 5], 2, None, [0, 2, 4, 5]),
        ([1, 2, 3, 4, 5], 2, 10, [0, 2, 4, 5]),
        ([1, 1, 1, 4, 4], 5, 8, [0, 3, 5]),
        ([1, 1, 1, 4, 4], 5, 7, [0, 3, 4, 5]),
        ([2, 2, 2, 2], 3, 4, [0, 2, 4]),
        ([3, 3, 9, 9], 4, 6, [0, 2, 3, 4]),
        ([3, 3], 4, 1, [0, 1, 2]),
    ],
)
def test_cut_by_length(lengths, batch_size, max_steps, bounds):
    assert cut_by_length(np.array(lengths, dtype=np.int64), batch_size, max_steps) == bounds


def test_cut_by_length_fills_the_batches_as_far_as_they_go(rng):
    lengths = np.sort(log_uniform(rng, 300))
    bounds = cut_by_length(lengths, 16, 1000)
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        size = stop - start
        assert size == 1 or size * lengths[stop - 1] <= 1000
        assert size == 16 or stop == 300 or (size + 1) * lengths[stop] > 1000


@pytest.mark.parametrize("max_batch_steps", [None, 700])
def test_len_counts_the_batches_of_prediction(rng, max_batch_steps):
    batches = iterator(log_uniform(rng, 333), batch_size=16, max_batch_steps=max_batch_steps)
    assert len(batches) == len(list(batches)) == len(batches.plan())


def test_len_counts_the_batches_of_training(rng):
    batches = iterator(log_uniform(rng, 1003), batch_size=8, rng=rng)
    assert len(batches) == len(batches.plan())


def test_one_sequence_of_one_step():
    ((inputs, y),) = list(iterator([1], rng=np.random.default_rng(0)))
    assert inputs["X"].shape == (1, 1, 2)
    assert inputs["lengths"].tolist() == [1]
    assert y is None


# --- what a batch holds ---


def check_cut(sequences, inputs, indices):
    assert inputs["X"].shape == (len(indices), sequences.lengths[indices].max(), *sequences.step_shape)
    assert inputs["lengths"].dtype == torch.int64
    np.testing.assert_array_equal(inputs["lengths"], sequences.lengths[indices])
    for row, index in enumerate(indices):
        np.testing.assert_array_equal(inputs["X"][row, : sequences.lengths[index]].numpy(), sequences[int(index)])


@pytest.mark.parametrize(
    ("step_shape", "dtype"),
    [((3,), np.float32), ((3,), np.float64), ((1,), np.float64), ((), np.int64), ((4, 5, 2), np.float32)],
)
def test_a_batch_holds_the_values_of_its_sequences(rng, step_shape, dtype):
    sequences = of_lengths([4, 1, 7, 3, 1, 6], step_shape, dtype)
    batches = BatchIterator(SequenceDataset(sequences), batch_size=4)
    indices = np.array([5, 1, 2, 0])
    inputs, y = batches.cut(indices)
    check_cut(sequences, inputs, indices)
    assert inputs["X"].dtype == as_tensor(sequences.values).dtype
    assert set(inputs) == {"X", "lengths"}
    assert y is None
    for indices, (inputs, _) in zip(batches.plan(), batches, strict=True):
        check_cut(sequences, inputs, indices)


def test_the_padding_repeats_the_last_step():
    sequences = of_lengths([2, 4])
    inputs, _ = BatchIterator(SequenceDataset(sequences)).cut(np.array([0, 1]))
    np.testing.assert_array_equal(inputs["X"][0].numpy(), sequences.values[[0, 1, 1, 1]])


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_targets_and_weights_of_sequences(rng, outputs):
    y, weight = rng.normal(size=(6, *outputs)), rng.uniform(size=6)
    batches = BatchIterator(SequenceDataset(of_lengths([4, 1, 7, 3, 1, 6]), y, weight))
    indices = np.array([5, 0, 3])
    inputs, targets = batches.cut(indices)
    np.testing.assert_array_equal(targets.numpy(), y[indices])
    np.testing.assert_array_equal(inputs["weight"].numpy(), weight[indices])
    assert "rows" not in inputs


def test_targets_per_step_follow_the_steps():
    sequences = of_lengths([4, 1, 7, 3, 1, 6])
    places = np.arange(22)
    batches = BatchIterator(SequenceDataset(sequences, places, places / 10, per_step=True))
    indices = np.array([5, 1, 3])
    inputs, y = batches.cut(indices)
    owned = [np.arange(start, stop) for start, stop in zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)]
    np.testing.assert_array_equal(y.numpy(), np.concatenate([owned[i] for i in indices]))
    np.testing.assert_array_equal(inputs["weight"].numpy(), y.numpy() / 10)
    # `rows` are the places of the same steps in the padded batch
    flat = inputs["X"].flatten(0, 1)[inputs["rows"]]
    np.testing.assert_array_equal(flat.numpy(), sequences.values[y.numpy()])
    np.testing.assert_array_equal(inputs["rows"].numpy(), [*range(6), 6, *range(12, 15)])


def test_rows_are_there_without_targets():
    inputs, y = BatchIterator(SequenceDataset(of_lengths([2, 3]), per_step=True)).cut(np.array([0, 1]))
    assert y is None
    np.testing.assert_array_equal(inputs["rows"].numpy(), [0, 1, 3, 4, 5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_values_are_not_copied(dtype):
    sequences = of_lengths([3, 5, 2], dtype=dtype)
    y, weight = np.arange(3), np.ones(3)
    batches = BatchIterator(SequenceDataset(sequences, y, weight))
    assert np.shares_memory(batches.values.numpy(), sequences.values)
    assert batches.values.data_ptr() == sequences.values.__array_interface__["data"][0]
    assert batches.y.data_ptr() == y.__array_interface__["data"][0]
    assert batches.weight.data_ptr() == weight.__array_interface__["data"][0]


def test_read_only_arrays_enter_without_a_warning_or_a_copy():
    values = np.arange(12.0).reshape(6, 2)
    values.flags.writeable = False
    tensor = as_tensor(values)
    assert tensor.data_ptr() == values.__array_interface__["data"][0]
    np.testing.assert_array_equal(tensor.numpy(), values)


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_memory_maps_enter_without_a_warning_or_a_copy(tmp_path, mode):
    np.save(tmp_path / "X.npy", np.arange(60.0).reshape(5, 6, 2))
    X = np.load(tmp_path / "X.npy", mmap_mode=mode)
    sequences = check_sequences(X)
    batches = BatchIterator(SequenceDataset(sequences), batch_size=2)
    assert batches.values.data_ptr() == X.__array_interface__["data"][0]
    for indices, (inputs, _) in zip(batches.plan(), batches, strict=True):
        check_cut(sequences, inputs, indices)


def test_a_batch_owns_its_memory():
    sequences = of_lengths([3, 5, 2])
    before = sequences.values.copy()
    for inputs, _ in BatchIterator(SequenceDataset(sequences), batch_size=3):
        inputs["X"].zero_()
    np.testing.assert_array_equal(sequences.values, before)


# --- scaling ---


def scaling_of(values, dtype=torch.float32, **kwargs):
    scaling = InputScaling(values.shape[-1], dtype=dtype, **kwargs)
    mean, scale = step_statistics(values)
    scaling.mean.copy_(torch.from_numpy(mean))
    scaling.scale.copy_(torch.from_numpy(scale))
    return scaling


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_scaled_in_float64(dtype):
    sequences = Sequences((1e8 + np.arange(10.0)).reshape(10, 1), np.array([0, 4, 10]))
    scaling = scaling_of(sequences.values, dtype=torch.float64 if dtype == np.float64 else torch.float32)
    inputs, _ = BatchIterator(SequenceDataset(sequences), scaling=scaling).cut(np.array([1]))
    expected = (np.arange(4, 10) - 4.5) / np.arange(10).std()
    assert inputs["X"].numpy().dtype == dtype
    np.testing.assert_allclose(inputs["X"][0, :, 0].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("step_shape", [(2,), (3, 4, 2)])
@pytest.mark.parametrize("mask_missing", [False, True])
def test_scaling_at_once_and_in_each_batch_agree(rng, monkeypatch, step_shape, mask_missing):
    sequences = of_lengths([4, 1, 7, 3], step_shape, rng=rng)
    scaling = scaling_of(sequences.values, mask_missing=mask_missing)
    if mask_missing:
        values = sequences.values.copy()
        values[::5] = np.nan
        sequences = Sequences(values, sequences.offsets)
    dataset = SequenceDataset(sequences)
    at_once = BatchIterator(dataset, scaling=scaling)
    monkeypatch.setattr("sktime_rnn.batching._sequences._SCALED_AT_ONCE", 0)
    in_batches = BatchIterator(dataset, scaling=scaling)
    assert np.shares_memory(in_batches.values.numpy(), sequences.values)
    for (a, _), (b, _) in zip(at_once, in_batches, strict=True):
        assert a["X"].dtype == torch.float32
        torch.testing.assert_close(a["X"], b["X"], rtol=0, atol=0)


@pytest.mark.parametrize("n_steps", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_scale_steps_over_chunks(rng, n_steps):
    values = rng.normal(size=(n_steps, 2))
    scaling = InputScaling(2)
    scaling.mean.copy_(torch.tensor([1.0, -2.0]))
    scaling.scale.copy_(torch.tensor([0.5, 3.0]))
    scaled = scale_steps(as_tensor(values), scaling)
    assert scaled.dtype == torch.float32
    np.testing.assert_array_equal(scaled.numpy(), ((values - [1, -2]) / [0.5, 3]).astype(np.float32))


def test_codes_are_not_scaled():
    sequences = of_lengths([3, 2], step_shape=())
    batches = BatchIterator(SequenceDataset(sequences), scaling=InputScaling(1))
    inputs, _ = batches.cut(np.array([0]))
    assert inputs["X"].dtype == torch.int64
    assert batches.values.data_ptr() == sequences.values.__array_interface__["data"][0]


# --- statistics of steps ---


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_are_those_of_numpy(rng, offset, dtype):
    values = (offset + rng.normal(size=(5000, 3)) * [100, 1e3, 1e4]).astype(dtype)
    mean, scale = step_statistics(values)
    assert mean.dtype == scale.dtype == np.float64
    exact = values.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-14, atol=1e-9)
    np.testing.assert_allclose(scale, exact.std(axis=0), rtol=1e-10)


def test_values_near_a_hundred_million_are_told_apart():
    mean, scale = step_statistics(1e8 + np.arange(10.0)[:, None])
    np.testing.assert_allclose(mean, 1e8 + 4.5, rtol=1e-15)
    np.testing.assert_allclose(scale, np.arange(10).std(), rtol=1e-12)


@pytest.mark.parametrize("n_steps", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
def test_chunks_leave_no_trace_in_the_statistics(rng, n_steps):
    values = 1e6 + rng.normal(size=(n_steps, 2))
    mean, scale = step_statistics(values)
    exact = [math.fsum(column) / n_steps for column in values.T]
    np.testing.assert_allclose(mean, exact, rtol=1e-15)
    np.testing.assert_allclose(scale, (values - exact).std(axis=0) if n_steps > 1 else 1.0, rtol=1e-12)


def test_weights_count_as_repetitions(rng):
    values, times = rng.normal(size=(400, 2)) + 50, rng.integers(0, 4, size=400)
    values[rng.random(values.shape) < 0.1] = np.nan
    weighted = step_statistics(values, times.astype(float))
    repeated = step_statistics(np.repeat(values, times, axis=0))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)
    np.testing.assert_allclose(step_statistics(values, 3.0 * times), repeated, rtol=1e-12)


def test_weights_of_one_change_no_bit(rng):
    values = rng.normal(size=(400, 2))
    np.testing.assert_array_equal(step_statistics(values, np.ones(400)), step_statistics(values))


def test_missing_values_are_left_out(rng):
    values = rng.normal(size=(3000, 3)) + [0, 10, 1e6]
    values[rng.random(values.shape) < 0.3] = np.nan
    mean, scale = step_statistics(values)
    np.testing.assert_allclose(mean, np.nanmean(values, axis=0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(scale, np.nanstd(values, axis=0), rtol=1e-9)


def test_a_feature_that_was_never_observed_is_left_as_it_is():
    values = np.column_stack([np.full(5, np.nan), np.arange(5.0)])
    mean, scale = step_statistics(values)
    np.testing.assert_allclose(mean, [0, 2])
    np.testing.assert_allclose(scale, [1, np.sqrt(2)])


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.0, 1e8 + 0.1, 1e-300, 1e100])
@pytest.mark.parametrize("n_steps", [1, 7, 3 * CHUNK])
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_features_have_scale_one(rng, constant, n_steps, weighted):
    values = np.full((n_steps, 2), constant)
    mean, scale = step_statistics(values, rng.uniform(0.1, 2, size=n_steps) if weighted else None)
    np.testing.assert_allclose(mean, constant, rtol=1e-14)
    np.testing.assert_array_equal(scale, 1)


def test_a_small_difference_is_no_constant():
    values = np.full((3 * CHUNK, 1), 0.1)
    values[::2] += 1e-9
    np.testing.assert_allclose(step_statistics(values)[1], 5e-10, rtol=1e-6)


def test_frames_are_described_channel_by_channel(rng):
    values = rng.normal(size=(50, 4, 5, 3)) * [1, 2, 3] + [0, 5, 10]
    mean, scale = step_statistics(values)
    np.testing.assert_allclose(mean, values.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(scale, values.std(axis=(0, 1, 2)), rtol=1e-12)
    weight = rng.integers(1, 4, size=50)
    repeated = np.repeat(values, weight, axis=0)
    np.testing.assert_allclose(step_statistics(values, weight)[0], repeated.mean(axis=(0, 1, 2)), rtol=1e-12)


# --- datasets ---


@pytest.mark.parametrize("indices", [[], [0], [2, 0], [1, 1, 3], [3, 2, 1, 0]])
def test_flat_steps(indices):
    offsets = np.array([0, 3, 4, 9, 11])
    expected = [place for i in indices for place in range(offsets[i], offsets[i + 1])]
    places = flat_steps(offsets, np.array(indices, dtype=np.int64))
    assert places.dtype == np.int64
    assert places.tolist() == expected


def test_flat_steps_pass_over_empty_sequences():
    assert flat_steps(np.array([0, 2, 2, 5]), np.array([2, 1, 0])).tolist() == [2, 3, 4, 0, 1]


@pytest.mark.parametrize("per_step", [False, True])
def test_take_keeps_targets_and_weights_with_their_sequences(rng, per_step):
    sequences = of_lengths([4, 1, 7, 3])
    n_rows = 15 if per_step else 4
    y, weight = rng.normal(size=(n_rows, 2)), rng.uniform(size=n_rows)
    dataset = SequenceDataset(sequences, y, weight, per_step)
    indices = np.array([3, 0])
    taken = dataset.take(indices)
    rows = np.r_[12:15, 0:4] if per_step else indices
    assert len(taken) == 2
    assert taken.n_rows == len(rows)
    assert taken.per_step is per_step
    np.testing.assert_array_equal(taken.X.values, sequences[indices].values)
    np.testing.assert_array_equal(taken.y, y[rows])
    np.testing.assert_array_equal(taken.weight, weight[rows])


def test_take_without_targets():
    taken = SequenceDataset(of_lengths([4, 1])).take(np.array([1]))
    assert taken.y is None
    assert taken.weight is None


def test_as_dataset_joins_sequences_and_targets():
    sequences = of_lengths([2, 3])
    dataset = as_dataset(sequences, np.array([1, 0]))
    assert dataset.X is sequences
    assert dataset.n_rows == len(dataset) == 2


@pytest.mark.parametrize("X", [[np.zeros((3, 1)), np.zeros((2, 1))], np.zeros((2, 3, 1)), ["ab"], None])
def test_as_dataset_refuses_what_is_not_checked(X):
    with pytest.raises(TypeError, match=rf"must be a Sequences, got {type(X).__name__}\. Pass check_sequences"):
        as_dataset(X)


# --- pairs of sequences ---

BEGIN = 99
EMPTY = [
    pytest.param([0, 2, 3, 1], id="first"),
    pytest.param([2, 1, 3, 0], id="last"),
    pytest.param([2, 0, 0, 1], id="in-between"),
    pytest.param([0, 0, 3, 0], id="all-but-one"),
    pytest.param([0, 0, 0, 0], id="all"),
    pytest.param([3, 1, 2, 4], id="none"),
]


def make_pairs(lengths, out_lengths, kind="symbols", weight=None, rng=None):
    """Pairs of inputs and outputs, each step of them another number; values are drawn if there is a generator."""
    X = of_lengths(lengths, rng=rng)
    if kind in ("symbols", "aligned"):
        begin = BEGIN if kind == "symbols" else None
        return PairDataset(X, Targets(of_lengths(out_lengths, ()), begin, aligned=kind == "aligned"), weight)
    return PairDataset(X, Targets(of_lengths(out_lengths, rng=rng), end=None if kind == "values" else kind), weight)


def pairs(lengths, out_lengths, kind="symbols", weight=None, **options):
    return PairIterator(make_pairs(lengths, out_lengths, kind, weight), **options)


@pytest.mark.parametrize("max_batch_steps", [None, 900])
@pytest.mark.parametrize("n", [1, 31, 33, 1000])
def test_each_epoch_holds_every_pair_once(rng, n, max_batch_steps):
    options = {"batch_size": 16, "max_batch_steps": max_batch_steps}
    lengths = log_uniform(rng, n), log_uniform(rng, n)
    for shuffled in (None, rng):
        batches = pairs(*lengths, **options, rng=shuffled)
        for _ in range(2):
            np.testing.assert_array_equal(np.sort(np.concatenate(batches.plan())), np.arange(n))


def test_pairs_are_sorted_by_inputs_and_then_by_outputs(rng):
    lengths, out_lengths = rng.integers(1, 6, size=(2, 200))
    order = np.concatenate(pairs(lengths, out_lengths, batch_size=8).plan())
    both = list(zip(lengths[order], out_lengths[order], strict=True))
    assert both == sorted(both)


def test_pairs_of_like_lengths_hold_little_padding(rng):
    lengths = log_uniform(rng, 1000)
    out_lengths = np.maximum(1, (lengths * rng.uniform(0.8, 1.2, size=1000)).astype(np.int64))
    plan = pairs(lengths, out_lengths, batch_size=32, rng=rng).plan()
    padded = sum(len(batch) * (lengths[batch].max() + out_lengths[batch].max()) for batch in plan)
    assert padded < 1.2 * (lengths.sum() + out_lengths.sum())


@pytest.mark.parametrize("opposite", [False, True], ids=["any", "opposite"])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("max_batch_steps", [20, 1000, 5000])
def test_most_steps_of_a_batch_of_pairs_padding_on_both_sides_included(rng, max_batch_steps, shuffled, opposite):
    lengths = log_uniform(rng, 300)
    out_lengths = 310 - lengths if opposite else log_uniform(rng, 300)  # the longer an input, the shorter its output
    batches = pairs(lengths, out_lengths, batch_size=64, max_batch_steps=max_batch_steps, rng=rng if shuffled else None)
    for inputs, _ in batches:
        n_pairs, n_steps = inputs["X"].shape[:2]
        n_rows = inputs["y"].shape[1]
        assert n_pairs == 1 or n_pairs * (n_steps + n_rows) <= max_batch_steps


@pytest.mark.parametrize("max_batch_steps", [None, 20, 700])
def test_number_of_batches_of_pairs_is_that_of_the_plan(rng, max_batch_steps):
    lengths, out_lengths = log_uniform(rng, 100), log_uniform(rng, 100)
    batches = pairs(lengths, out_lengths, batch_size=16, max_batch_steps=max_batch_steps)
    assert len(batches) == len(batches.plan())


@pytest.mark.parametrize("kind", ["symbols", "values", "stop", "predict"])
def test_batches_of_pairs_equal_a_loop(rng, kind):
    lengths, out_lengths = rng.integers(1, 9, size=(2, 23))
    data = make_pairs(lengths, out_lengths, kind)
    batches = PairIterator(data, batch_size=5, rng=rng)
    for indices in batches.plan():
        inputs, y = batches.cut(indices)
        assert set(inputs) == {"X", "lengths", "y", "y_lengths", "valid"}
        assert inputs["y_lengths"].tolist() == out_lengths[indices].tolist()
        found = list(y)
        for b, i in enumerate(indices):
            x, out = data.X[i], data.targets.sequences[i]
            np.testing.assert_array_equal(inputs["X"][b, : len(x)], x)
            assert inputs["lengths"][b] == len(x)
            np.testing.assert_array_equal(inputs["y"][b, 1 : len(out)], out[:-1])
            begins = inputs["y"][b, 0]
            assert begins == BEGIN if kind == "symbols" else begins.isnan().all()
            rows = np.stack([found.pop(0).numpy() for _ in out])
            np.testing.assert_array_equal(rows if kind == "symbols" else rows[:, :2], out)
            if kind == "stop":
                assert rows[:, 2].tolist() == [0.0] * (len(out) - 1) + [1.0]
            if kind == "predict":
                np.testing.assert_allclose(rows[:, 2], np.log(len(out)))
        assert not found
        longest = out_lengths[indices].max()
        assert inputs["y"].shape[:2] == (len(indices), longest)
        valid = [b * longest + t for b, i in enumerate(indices) for t in range(out_lengths[i])]
        assert inputs["valid"].tolist() == valid


@pytest.mark.parametrize("kind", ["symbols", "values", "aligned"])
@pytest.mark.parametrize("out_lengths", EMPTY)
def test_outputs_may_be_empty(kind, out_lengths):
    data = make_pairs([5, 2, 4, 3], out_lengths, kind)
    for batch_size in (1, 2, 4):
        batches = PairIterator(data, batch_size=batch_size)
        for indices in batches.plan():
            inputs, y = batches.cut(indices)
            lengths = np.array(out_lengths)[indices]
            assert inputs["y"].shape[:2] == (len(indices), lengths.max())
            assert inputs["y_lengths"].tolist() == lengths.tolist()
            shift = kind != "aligned"
            for row, i, length in zip(inputs["y"], indices, lengths, strict=True):
                out = data.targets.sequences[i]
                np.testing.assert_array_equal(row[shift:length], out[: length - shift] if length else out)
            if kind == "aligned":
                assert y.tolist() == lengths.tolist()
                assert "valid" not in inputs
            else:
                wanted = np.concatenate([data.targets.sequences[i] for i in indices])
                np.testing.assert_array_equal(y, wanted)
                assert len(inputs["valid"]) == lengths.sum()


def test_ends_of_values_by_hand():
    out = Sequences(np.array([[1.0], [2.0], [np.nan], [np.nan], [3.0], [np.nan]]), [0, 3, 4, 6])
    stops, lengths = (Targets(out, end=end).rows() for end in ("stop", "predict"))
    np.testing.assert_array_equal(stops[:, 0], out.values[:, 0])
    np.testing.assert_array_equal(stops[:, 1], [0, 0, 1, 1, 0, 1])
    np.testing.assert_allclose(lengths[:, 1], np.log([3, 3, 3, 1, 2, 2]))
    assert Targets(out).rows() is out.values


@pytest.mark.parametrize("kind", ["symbols", "stop", "aligned"])
def test_weights_of_pairs_are_those_of_their_rows(rng, kind):
    lengths, out_lengths = rng.integers(1, 9, size=(2, 12))
    weight = rng.uniform(size=12)
    batches = pairs(lengths, out_lengths, kind, weight, batch_size=5)
    for indices in batches.plan():
        inputs, y = batches.cut(indices)
        expected = weight[indices] if kind == "aligned" else np.repeat(weight[indices], out_lengths[indices])
        np.testing.assert_array_equal(inputs["weight"], expected)
        assert len(inputs["weight"]) == len(y)


def test_grids_bring_their_shapes(rng):
    shapes = np.array([[2, 3], [1, 4], [3, 3]])
    grids = Sequences(rng.normal(size=(19, 2)), [0, 6, 10, 19], shapes)
    batches = PairIterator(PairDataset(grids, Targets(of_lengths([2, 1, 3], ()), BEGIN)), batch_size=2)
    for indices in batches.plan():
        inputs, _ = batches.cut(indices)
        np.testing.assert_array_equal(inputs["shapes"], shapes[indices])
        assert inputs["lengths"].tolist() == shapes[indices].prod(axis=1).tolist()


def test_pairs_are_scaled_on_the_side_of_inputs_alone(rng):
    scaling = InputScaling(2, dtype=torch.float64)
    scaling.mean.copy_(torch.tensor([5.0, 1.0]))
    scaling.scale.copy_(torch.tensor([2.0, 4.0]))
    data = make_pairs([2, 3], [2, 1], "values")
    (inputs, y), (plain, wanted) = (next(iter(PairIterator(data, scaling=s))) for s in (scaling, None))
    torch.testing.assert_close(inputs["X"], scaling(plain["X"]))
    torch.testing.assert_close(inputs["y"], plain["y"], equal_nan=True)
    assert torch.equal(y, wanted)


@pytest.mark.parametrize("kind", ["symbols", "stop", "aligned"])
def test_take_keeps_outputs_weights_and_groups_with_their_inputs(rng, kind):
    data = make_pairs([4, 1, 7, 3], [2, 5, 1, 3], kind, rng.uniform(size=4), rng)
    data.groups = np.array(list("abca"))
    taken = data.take(np.array([3, 0]))
    assert len(taken) == 2
    assert (taken.targets.begin, taken.targets.end) == (data.targets.begin, data.targets.end)
    assert taken.targets.aligned == data.targets.aligned
    for i, j in enumerate((3, 0)):
        np.testing.assert_array_equal(taken.X[i], data.X[j])
        np.testing.assert_array_equal(taken.targets.sequences[i], data.targets.sequences[j])
    np.testing.assert_array_equal(taken.weight, data.weight[[3, 0]])
    assert taken.groups.tolist() == ["a", "a"]
    plain = make_pairs([4, 1], [2, 5], kind).take(np.array([1]))
    assert plain.weight is plain.groups is None


def test_pairs_of_no_weight_leave_and_the_mean_is_one():
    data = make_pairs([4, 1, 7, 3], [2, 5, 1, 3], weight=np.array([2.0, 0.0, 6.0, 1.0]))
    data.groups = np.arange(4)
    weighed = data.weighed()
    np.testing.assert_allclose(weighed.weight, np.array([2, 6, 1]) / (13 / 6), rtol=1e-12)  # of rows: 2, 1 and 3
    assert weighed.X.lengths.tolist() == [4, 7, 3]
    assert weighed.targets.sequences.lengths.tolist() == [2, 1, 3]
    assert weighed.groups.tolist() == [0, 2, 3]
    assert weighed.targets.begin == BEGIN
    huge = make_pairs([1, 1], [1, 1], weight=np.array([1e308, 1e308])).weighed()
    np.testing.assert_allclose(huge.weight, 1, rtol=1e-12)
    unweighted = make_pairs([1, 1], [1, 1])
    assert unweighted.weighed() is unweighted


def test_pairs_of_no_weight_at_all_are_refused():
    with pytest.raises(ValueError, match="got only zeros. Raise one of them"):
        make_pairs([1, 2], [1, 2], weight=np.zeros(2)).weighed()


# --- windows of series ---

LENGTHS = (9, 4, 6)
CONTEXT, HORIZON = 4, 3


def make_features(rng, n_items):
    """Features of the steps of LENGTHS, and of the places of their time axis; the second series starts at place 3."""
    n, n_places = sum(LENGTHS), 12
    return WindowFeatures(
        past=rng.normal(size=(n, 2)).astype(np.float32),
        ahead=rng.normal(size=(n, 3)).astype(np.float32),
        past_codes=rng.integers(0, 5, size=(n, 2)),
        ahead_codes=rng.integers(0, 5, size=(n, 1)),
        calendar=rng.normal(size=(n_places, 2)).astype(np.float32),
        first=np.array([0, 3, 1]),
        static=rng.normal(size=(n_items, 2)).astype(np.float32),
        static_codes=rng.integers(0, 5, size=(n_items, 1)),
    )


def make_windowed(rng, *, joint=True, n_variables=2, kind="last", missing=0.0, origins=None, features=None, **options):
    """A dataset of windows over three series."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    values = np.exp(rng.normal(size=(offsets[-1], n_variables)))
    if kind is None:
        values = np.round(3 * values)
    values[rng.random(values.shape) < missing] = np.nan
    windows = Windows(values, offsets, CONTEXT, HORIZON, joint)
    scaler = WindowScaler(kind)
    if features is None:
        features = make_features(rng, windows.n_items)
    if origins is None:
        origins = training_origins(windows, 1).all()
    options = {"flags": True, "dtype": np.float64, **options}
    return WindowDataset(windows, scaler, scaler.series_scale(windows), features, origins, **options)


def one_window(data, item, origin):
    """What the network should be handed for one window, step by step."""
    windows, features = data.windows, data.features
    values, scaled = data.scaled(np.array([item]), np.array([origin]))
    L, length, series = data.n_before + CONTEXT, windows.lengths[item], windows.series[item]
    start = np.concatenate([[0], np.cumsum(LENGTHS)])[series]

    def row(step):
        return start + min(max(step, 0), length - 1)

    before, after = range(origin - L, origin), range(origin, origin + HORIZON)
    place = [min(features.first[series] + t, len(features.calendar) - 1) for t in after]
    z, observed = scaled.z[0], scaled.observed[0]
    known = [np.concatenate([features.ahead[row(s)], features.calendar[p]]) for s, p in zip(after, place, strict=True)]
    return {
        "X": [np.concatenate([z[t], ~observed[t], features.past[row(s)]]) for t, s in enumerate(before)],
        "lengths": min(origin, L),
        "codes": [features.past_codes[row(s)] for s in before],
        "ahead": known,
        "ahead_codes": [features.ahead_codes[row(s)] for s in after],
        "static": features.static[item],
        "static_codes": features.static_codes[item],
        "mask": observed[L:].ravel(),
        "y": z[L:].ravel(),
    }


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize(("n_variables", "joint"), [(1, True), (2, True), (2, False)])
def test_batches_of_windows_equal_a_loop(rng, n_variables, joint, missing, n_before):
    data = make_windowed(rng, joint=joint, n_variables=n_variables, missing=missing, n_before=n_before)
    items, origins = data.origins
    seen = 0
    for inputs, y in WindowIterator(data, batch_size=4):
        for b in range(len(y)):
            expected = one_window(data, items[seen], origins[seen])
            np.testing.assert_allclose(y[b], expected.pop("y"), rtol=1e-12)
            mask = expected.pop("mask")
            np.testing.assert_array_equal(inputs["mask"][b] if "mask" in inputs else True, mask)
            for name, value in expected.items():
                np.testing.assert_allclose(inputs[name][b], np.asarray(value, float), rtol=1e-12, err_msg=name)
            seen += 1
        assert set(inputs) - {"mask"} == set(expected)
    assert seen == len(items) == len(data) == data.n_rows


def test_cut_gives_the_windows_asked_for(rng):
    data = make_windowed(rng)
    batches = WindowIterator(data, batch_size=5)
    assert [len(indices) for indices in batches.plan()] == [len(y) for _, y in batches]
    assert len(batches) == len(batches.plan())
    np.testing.assert_array_equal(np.concatenate(batches.plan()), np.arange(len(data)))
    inputs, y = batches.cut(np.array([7, 2]))
    for b, i in enumerate((7, 2)):
        expected = one_window(data, data.origins[0][i], data.origins[1][i])
        np.testing.assert_allclose(y[b], expected["y"])
        np.testing.assert_allclose(inputs["X"][b], expected["X"])


def test_most_steps_of_a_batch_of_windows(rng):
    data = make_windowed(rng)
    assert WindowIterator(data, batch_size=100, max_batch_steps=3 * (CONTEXT + HORIZON) + 1).batch_size == 3
    assert WindowIterator(data, batch_size=100, max_batch_steps=1).batch_size == 1


def test_windows_drawn_for_every_epoch(rng):
    given = make_windowed(rng)
    drawn = make_windowed(rng, origins=training_origins(given.windows, 1), n_draws=20)

    def epochs(n):
        batches = WindowIterator(drawn, batch_size=8, rng=np.random.default_rng(0))
        return [[y for _, y in batches] for _ in range(n)]

    first, second = epochs(2)
    assert [len(y) for y in first] == [8, 8, 4]
    assert len(WindowIterator(drawn, batch_size=8)) == 3
    assert (torch.cat(first) != torch.cat(second)).any()
    torch.testing.assert_close(torch.cat(epochs(1)[0]), torch.cat(first), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["last", "mean", "log"])
def test_weights_of_windows(rng, kind):
    """The root of a window's scale, relative to its series but for logarithms; given windows have none."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    windows = Windows(np.exp(rng.normal(size=(offsets[-1], 2))), offsets, CONTEXT, HORIZON, True)
    scaler = WindowScaler(kind)
    scale = scaler.series_scale(windows)
    features = WindowFeatures(first=np.zeros(3, np.int64))
    origins = training_origins(windows, 1)
    drawn = WindowDataset(windows, scaler, scale, features, origins, flags=False, n_draws=16, dtype=np.float64)
    inputs, _ = next(iter(WindowIterator(drawn, batch_size=16, rng=np.random.default_rng(0))))
    items, steps = origins.draw(16, np.random.default_rng(0), drawn.power)
    size = drawn.scaled(items, steps)[1].scale[:, 0].mean(axis=1)
    if kind != "log":
        size = size / scale.scale[items].mean(axis=1)
    weight = np.sqrt(size)
    assert (weight < 5 * np.median(weight)).all()  # none is cut off here
    np.testing.assert_allclose(inputs["weight"], weight / weight.mean(), rtol=1e-12)
    assert inputs["weight"].mean().item() == pytest.approx(1)
    given = WindowDataset(windows, scaler, scale, features, origins.all(), flags=False)
    assert "weight" not in next(iter(WindowIterator(given)))[0]


def test_one_window_does_not_outweigh_the_batch():
    values = np.concatenate([np.tile([0.0, 1.0], 30), [0.0, 1e6, 0.0, 1e6]])[:, None]
    windows = Windows(values, np.array([0, len(values)]), 2, 1, True)
    scaler = WindowScaler("last")
    origins = training_origins(windows, 2)
    features = WindowFeatures(first=np.zeros(1, np.int64))
    scale = SeriesScale(np.zeros((1, 1)), np.full((1, 1), 1e-3))
    data = WindowDataset(windows, scaler, scale, features, origins, flags=False, n_draws=200, dtype=np.float64)
    weight = next(iter(WindowIterator(data, batch_size=200, rng=np.random.default_rng(0))))[0]["weight"]
    assert weight.max() < 100 * weight.median()


@pytest.mark.parametrize("level", [0.0, 5.0, 1e8 / 3])
def test_constant_series_leave_the_others_their_weight(rng, level):
    """Also where most series are constant, as sales of rare goods are."""
    lively = rng.normal(size=40)
    values = np.concatenate([lively, np.full(80, level)])[:, None]
    windows = Windows(values, np.array([0, 40, 80, 120]), 4, 2, True)
    scaler = WindowScaler("last")
    features = WindowFeatures(first=np.zeros(3, np.int64))
    origins, scale = training_origins(windows, 4), scaler.series_scale(windows)
    data = WindowDataset(windows, scaler, scale, features, origins, flags=False, n_draws=60, dtype=np.float64)
    weight = next(iter(WindowIterator(data, batch_size=60, rng=np.random.default_rng(0))))[0]["weight"].numpy()
    items = origins.draw(60, np.random.default_rng(0), data.power)[0]
    assert weight[items == 0].mean() > 0.3 * weight[items > 0].mean()


def test_counts_stay_as_they_are(rng):
    data = make_windowed(rng, kind=None, missing=0.2, counts=True)
    items, origins = data.origins
    inputs, y = next(iter(WindowIterator(data)))
    values, scaled = data.scaled(items, origins)
    np.testing.assert_array_equal(y, np.nan_to_num(values[:, CONTEXT:]).reshape(len(items), -1))
    np.testing.assert_allclose(inputs["log_level"], np.log(scaled.scale[:, 0]))
    assert (y == y.round()).all()
    assert "weight" not in inputs


def test_flags_of_missing_values_are_there_when_asked_for(rng):
    nothing = WindowFeatures(first=np.zeros(3, np.int64))
    for flags, width in ((False, 2), (True, 4)):
        data = make_windowed(rng, features=nothing, flags=flags)
        inputs, _ = next(iter(WindowIterator(data)))
        assert inputs["X"].shape[1:] == (CONTEXT, width)
        assert set(inputs) == {"X", "lengths", "mask"}  # of the newest windows, steps ahead are missing


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_come_in_the_precision_of_training(rng, dtype):
    inputs, y = next(iter(WindowIterator(make_windowed(rng, dtype=dtype))))
    wanted = torch.float32 if dtype == np.float32 else torch.float64
    assert {inputs[name].dtype for name in ("X", "ahead", "static")} == {wanted}
    assert y.dtype == wanted
    assert {inputs[name].dtype for name in ("codes", "ahead_codes", "static_codes")} == {torch.int64}
