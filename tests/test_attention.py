"""Attention: its equations worked in NumPy, and nothing of the padding in it."""

import numpy as np
import pytest
import torch

from sktime_rnn import attention
from sktime_rnn.attention import ATTENTIONS, AdditiveAttention, Attention, AttentionPooling

LENGTHS = (4, 1, 6)
SIZE = 3
N_OUT, STATE = 5, 4  # output steps, and the width of a decoder's state


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


# -- a decoder's attention


def make_attention(name, generator):
    """An attention with weights drawn; the dot product needs steps as wide as the state."""
    made = ATTENTIONS[name](STATE, STATE if name == "dot" else SIZE).double()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    return made


def make_memory(made, generator, padding=0.0):
    """States, input steps and the mask of the valid ones."""
    queries = torch.randn(len(LENGTHS), N_OUT, STATE, generator=generator, dtype=torch.float64)
    memory = torch.randn(len(LENGTHS), max(LENGTHS), made.memory_size, generator=generator, dtype=torch.float64)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return queries, memory.masked_fill(~mask[:, :, None], padding), mask


def attend(made, queries, memory, mask):
    return made(queries, made.keys(memory), memory, mask)


def score_by_hand(made, s, h):
    """The score of one state and one input step, in the symbols of the docstrings."""
    weights = {name: weight.detach().numpy() for name, weight in made.named_parameters()}
    if isinstance(made, AdditiveAttention):
        W, U, b, v = (weights[name] for name in ("query.weight", "key.weight", "key.bias", "score.weight"))
        return v[0] @ np.tanh(W @ s + U @ h + b)
    return s @ (weights["key.weight"] @ h if weights else h)


EVERY_ATTENTION = pytest.mark.parametrize("name", sorted(ATTENTIONS))


@EVERY_ATTENTION
def test_attention_equals_the_equations(name, generator):
    made = make_attention(name, generator)
    queries, memory, mask = make_memory(made, generator)
    contexts, weights = attend(made, queries, memory, mask)
    for i, length in enumerate(LENGTHS):
        h = memory[i, :length].numpy()
        for s, c, alpha in zip(queries[i].numpy(), contexts[i], weights[i], strict=True):
            e = np.array([score_by_hand(made, s, h_j) for h_j in h])
            expected = np.exp(e) / np.exp(e).sum()
            np.testing.assert_allclose(alpha[:length].detach(), expected, rtol=1e-12)
            np.testing.assert_allclose(c.detach(), expected @ h, rtol=1e-10, atol=1e-14)


@EVERY_ATTENTION
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attention_sums_to_one_over_the_valid_steps(name, dtype, generator):
    made = make_attention(name, generator).to(dtype)
    queries, memory, mask = make_memory(made, generator, padding=9.0)
    _, weights = attend(made, 10 * queries.to(dtype), memory.to(dtype), mask)
    assert (weights.transpose(1, 2)[~mask] == 0).all()
    torch.testing.assert_close(weights.sum(2), torch.ones(len(LENGTHS), N_OUT, dtype=dtype))
    assert (weights[1, :, 0] == 1).all()  # one step has it all


@EVERY_ATTENTION
@pytest.mark.parametrize("padding", [1.0, -1e3, 1e30])
def test_padding_moves_neither_a_context_nor_a_gradient(name, padding, generator):
    made = make_attention(name, generator)
    queries, memory, mask = make_memory(made, generator)
    found = []
    for filling in (0.0, padding):
        steps = memory.masked_fill(~mask[:, :, None], filling).requires_grad_()
        contexts, weights = attend(made, queries, steps, mask)
        *gradients, by_step = torch.autograd.grad(contexts.square().sum(), [*made.parameters(), steps])
        assert not by_step[~mask].any()
        found.append([contexts, weights, by_step, *gradients])
    assert all(map(torch.equal, *found))


@EVERY_ATTENTION
def test_attention_does_not_depend_on_who_shares_the_batch(name, generator):
    made = make_attention(name, generator)
    queries, memory, mask = make_memory(made, generator, padding=9.0)
    contexts, weights = attend(made, queries, memory, mask)
    for i, length in enumerate(LENGTHS):
        alone = attend(made, queries[i : i + 1], memory[i : i + 1, :length], mask[i : i + 1, :length])
        torch.testing.assert_close(alone[0][0], contexts[i], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone[1][0], weights[i, :, :length], rtol=1e-12, atol=1e-12)


@EVERY_ATTENTION
def test_gradients_of_attention_by_differences(name, generator):
    made = make_attention(name, generator)
    queries, memory, mask = make_memory(made, generator)
    inputs = (queries[:2, :2].clone().requires_grad_(), memory[:2, :4].clone().requires_grad_(), *made.parameters())
    assert torch.autograd.gradcheck(lambda s, h, *_: attend(made, s, h, mask[:2, :4]), inputs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("n_at_once", [0, 1, 2, 3, 4])
def test_additive_scores_in_parts_equal_those_at_once(monkeypatch, n_at_once, training, generator):
    made = make_attention("additive", generator).train(training)
    queries, memory, mask = make_memory(made, generator)
    queries.requires_grad_()
    memory.requires_grad_()
    found = []
    for numbers in (1 << 25, n_at_once * len(LENGTHS) * max(LENGTHS) * STATE):
        monkeypatch.setattr(attention, "_SCORED_AT_ONCE", numbers)
        contexts, weights = attend(made, queries, memory, mask)
        gradients = torch.autograd.grad(contexts.square().sum(), [*made.parameters(), queries, memory])
        found.append([contexts, weights, *gradients])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@EVERY_ATTENTION
def test_one_seed_gives_the_same_attention(name, global_random_seed):
    before = torch.get_rng_state()
    first, again = (ATTENTIONS[name](STATE, SIZE) for _ in range(2))
    for made in (first, again):
        made.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    for parameter, weight in first.named_parameters():
        bound = (6 / sum(weight.shape)) ** 0.5 if weight.ndim > 1 else 0  # Glorot and Bengio (2010)
        assert weight.abs().max() <= bound, parameter
    assert torch.equal(torch.get_rng_state(), before)


def test_attention_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Attention(STATE, SIZE)
