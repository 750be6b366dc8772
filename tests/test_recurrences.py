"""Known answers: a recurrent net is a deep net with tied weights, and a few weights set by hand add binary numbers."""

import numpy as np
import pytest
import torch
from torch.nn.functional import linear

from sktime_rnn import RNNClassifier, RNNRegressor
from sktime_rnn.cells import ElmanCell, GRUCell
from sktime_rnn.layers import Recurrent


def ragged(seed=0, lengths=(4, 1, 6, 3)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 2)) for n in lengths]


def test_a_net_equals_the_feed_forward_net_unrolled_by_hand():
    X, y = ragged(), np.arange(4.0)
    model = RNNRegressor(cell="rnn", hidden_size=3, max_epochs=2, dropout=0.0, standardize=False, random_state=0)
    model.fit(X, y)
    network = model.module_
    W, U, b, c = (p.detach().double() for p in network.recurrent.layers[0][0].cell.parameters())
    out, bias = (p.detach().double() for p in network.head.linear.parameters())
    for x, predicted in zip(X, model.predict(X), strict=True):
        layer = torch.zeros(3, dtype=torch.float64)
        for x_t in torch.from_numpy(x):  # one layer a step, each with the same weights
            layer = torch.tanh(linear(x_t, W, b) + linear(layer, U, c))
        expected = network.head.predict(linear(layer, out, bias)[None])
        np.testing.assert_allclose(predicted, expected.item(), atol=1e-5)


def test_the_gradient_is_the_sum_over_the_copies_of_the_weights():
    X = torch.from_numpy(ragged(lengths=(7,))[0])[None]
    net = Recurrent(ElmanCell(), 2, 3).double()
    net.reset_parameters(torch.Generator().manual_seed(0))
    net(X)[0, -1].square().sum().backward()
    copies = [[p.detach().clone().requires_grad_() for p in net.parameters()] for _ in range(7)]
    layer = torch.zeros(3, dtype=torch.float64)
    for x_t, (W, U, b, c) in zip(X[0], copies, strict=True):
        layer = torch.tanh(linear(x_t, W, b) + linear(layer, U, c))
    layer.square().sum().backward()
    for p, *tied in zip(net.parameters(), *copies, strict=True):
        torch.testing.assert_close(p.grad, sum(copy.grad for copy in tied))


class Halved(GRUCell):
    """A GRU whose state is halved after every step."""

    def step(self, a_t, state):
        return (super().step(a_t, state)[0] / 2,)


def test_a_subclass_with_a_step_of_its_own_is_not_run_by_the_kernel_of_its_parent():
    X = torch.from_numpy(ragged(lengths=(5,))[0])[None]
    nets = [Recurrent(cell, 2, 3).double() for cell in (Halved(), GRUCell())]
    for net in nets:
        net.reset_parameters(torch.Generator().manual_seed(0))
    halved, whole = (net(X).detach() for net in nets)
    torch.testing.assert_close(2 * halved[:, 0], whole[:, 0])
    assert (2 * halved[:, -1] - whole[:, -1]).abs().max() > 1e-3


def threshold(a):
    """Return 1 where the net input is above 0, otherwise 0."""
    return (a > 0).to(a.dtype)


def bits(number, n):
    return np.array([number >> k & 1 for k in range(n)])


def sums(n, rng):
    """Return two numbers of n bits as steps (n, 2), lowest bit first, and the lowest n bits of their sum."""
    a, b = (int.from_bytes(rng.bytes(n // 8 + 1), "little") % 2**n for _ in range(2))
    return np.stack([bits(a, n), bits(b, n)], axis=1).astype(float), bits(a + b, n)


@pytest.mark.parametrize("lengths", [(1, 2, 3, 8, 200), (64, 65, 31)])
def test_an_elman_net_adds_binary_numbers_of_any_length(lengths):
    rng = np.random.default_rng(0)
    X, y = zip(*(sums(n, rng) for n in lengths), strict=True)
    carried = np.stack([np.ones(100), np.eye(100)[0]], axis=1), np.zeros(100, dtype=int)  # 11...1 + 1 = 100...0
    X, y = [*X, carried[0]], [*y, carried[1]]
    model = RNNClassifier(cell=ElmanCell(threshold), hidden_size=3, max_epochs=1, dropout=0.0, standardize=False)
    model.fit(X, y)
    parts = dict(model.module_.named_parameters())
    # Unit k fires where the two bits and the carry, which is unit 1, hold more than k ones: the sum bit is 0 - 1 + 2.
    weights = {"weight_ih": torch.ones(3, 2), "weight_hh": torch.tensor([[0.0, 1, 0]] * 3)}
    weights |= {"bias_ih": torch.tensor([-0.5, -1.5, -2.5]), "bias_hh": torch.zeros(3)}
    with torch.no_grad():
        for name, weight in weights.items():
            parts[f"recurrent.layers.0.0.cell.{name}"].copy_(weight)
        parts["head.linear.weight"].copy_(torch.tensor([[0.0, 0, 0], [2, -2, 2]]))
        parts["head.linear.bias"].copy_(torch.tensor([0.0, -1]))
    assert model.score(X, y) == 1.0
    for x, total in zip(X, y, strict=True):
        np.testing.assert_array_equal(model.predict([x])[0], total)
