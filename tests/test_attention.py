"""Attention pooling: its equations worked in NumPy, and nothing of the padding in it."""

import numpy as np
import pytest
import torch

from sktime_rnn.attention import AttentionPooling

LENGTHS = (4, 1, 6)
SIZE = 3


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


@pytest.fixture
def pooling(generator):
    pooling = AttentionPooling(SIZE).double()
    for weight in pooling.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    return pooling


@pytest.fixture
def batch(generator):
    H = torch.randn(len(LENGTHS), max(LENGTHS), SIZE, generator=generator, dtype=torch.float64)
    return H, torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def test_pooling_equals_the_equations(pooling, batch):
    H, mask = batch
    W, b = (weight.detach().numpy() for weight in pooling.projection.parameters())
    v = pooling.score.weight.detach().numpy()[0]
    for c, alpha, h, length in zip(pooling(H, mask), pooling.weights(H, mask), H.numpy(), LENGTHS, strict=True):
        e = np.array([v @ np.tanh(W @ h_t + b) for h_t in h[:length]])
        expected = np.exp(e) / np.exp(e).sum()
        np.testing.assert_allclose(alpha[:length].detach(), expected, rtol=1e-12)
        np.testing.assert_allclose(c.detach(), expected @ h[:length], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_sum_to_one_over_the_valid_steps(pooling, batch, dtype):
    H, mask = batch
    weights = pooling.to(dtype).weights(100 * H.to(dtype), mask)
    assert (weights[mask] > 0).any()
    assert (weights[~mask] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(LENGTHS), dtype=dtype))


def test_one_step_has_the_whole_weight(pooling, batch):
    H, mask = batch
    assert pooling.weights(H, mask)[1, 0] == 1
    assert torch.equal(pooling(H, mask)[1], H[1, 0])


@pytest.mark.parametrize("padding", [0.0, 1e3, float("inf"), float("nan")])
def test_padding_moves_neither_the_mean_nor_a_gradient(pooling, batch, padding):
    H, mask = batch
    padded = H.masked_fill(~mask[:, :, None], padding).requires_grad_()
    mean = pooling(padded, mask)
    alone = [h[None, :length].clone().requires_grad_() for h, length in zip(H, LENGTHS, strict=True)]
    expected = torch.cat([pooling(h, torch.ones(1, h.shape[1], dtype=torch.bool)) for h in alone])
    torch.testing.assert_close(mean, expected)
    parameters = list(pooling.parameters())
    *gradients, by_step = torch.autograd.grad(mean.square().sum(), [*parameters, padded])
    *wanted, a, b, c = torch.autograd.grad(expected.square().sum(), [*parameters, *alone])
    torch.testing.assert_close(gradients, wanted)
    torch.testing.assert_close(by_step[mask], torch.cat([a[0], b[0], c[0]]))
    assert not by_step[~mask].any()


def test_gradients_by_differences(pooling, batch):
    H, mask = batch
    assert torch.autograd.gradcheck(lambda H, *_: pooling(H, mask), (H.requires_grad_(), *pooling.parameters()))


def test_attention_starts_even(batch, generator):
    H, mask = batch
    pooling = AttentionPooling(SIZE).double()
    pooling.reset_parameters(generator)
    expected = mask / mask.sum(1, keepdim=True)
    torch.testing.assert_close(pooling.weights(H, mask), expected.double())


def test_one_seed_gives_the_same_weights(global_random_seed):
    before = torch.get_rng_state()
    first, again = AttentionPooling(SIZE), AttentionPooling(SIZE)
    for pooling in (first, again):
        pooling.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert first.projection.weight.abs().max() <= 1  # sqrt(6 / (3 + 3))
    assert torch.equal(torch.get_rng_state(), before)
