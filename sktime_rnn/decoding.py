"""Decoding: greedy, by sampling and by beam search, over a step function; and of symbols aligned to their input (CTC).

Shapes: B inputs, W hypotheses an input, V symbols, T steps, K symbols and the blank.

The searches call hypotheses on their way: ``begin``, ``width``, ``step(codes (B, W)) -> log_proba (B, W, V)``,
``keep(samples)`` to go on with some of the inputs alone, and ``branch(parents (B, W))`` to go on from some of each
input's hypotheses; see :class:`~sktime_rnn.encoder_decoder.Hypotheses`. An input whose search is over leaves the batch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch


@dataclass(frozen=True)
class Limits:
    """What outputs may be.

    Attributes
    ----------
    end : int
        The symbol that ends an output.
    shortest, longest : int64 tensors of shape (B,)
        Fewest and most symbols of each output, its end not counted.
    banned : tuple of int
        Symbols that are never written.
    no_repeat : int
        Length of the runs of symbols that may occur once only in an output; 0 for no such limit.
    """

    end: int
    shortest: torch.Tensor
    longest: torch.Tensor
    banned: tuple = ()
    no_repeat: int = 0

    def allowed(self, log_proba, history, samples):
        """Return the log-probabilities with minus infinity at what may not come next.

        Parameters
        ----------
        log_proba : tensor of shape (B, W, V)
            Of the symbols at this step.
        history : int64 tensor of shape (B, W, T)
            The symbols so far.
        samples : int64 tensor of shape (B,)
            Which inputs these are.

        Returns
        -------
        allowed : tensor of shape (B, W, V)
            The end is allowed wherever no symbol is.
        """
        n_steps = history.shape[2]
        out = log_proba.clone()
        ends = out[:, :, self.end].clone()
        out[:, :, list(self.banned)] = -torch.inf
        if self.no_repeat:
            out.masked_fill_(repeated(history, self.no_repeat, out.shape[2]), -torch.inf)
        out.masked_fill_((n_steps >= self.longest[samples])[:, None, None], -torch.inf)
        out[:, :, self.end] = torch.where((n_steps < self.shortest[samples])[:, None], -torch.inf, ends)
        stuck = (out == -torch.inf).all(2)
        out[:, :, self.end] = torch.where(stuck, ends, out[:, :, self.end])
        return out


def repeated(history, n, n_symbols):
    """Return which symbols would complete a run of n that has been there already.

    Parameters
    ----------
    history : int64 tensor of shape (B, W, T)
        The symbols so far.
    n : int
        Length of a run.
    n_symbols : int
        V.

    Returns
    -------
    mask : bool tensor of shape (B, W, V)
        True where a run would be repeated.
    """
    B, W, T = history.shape
    mask = torch.zeros(B, W, n_symbols, dtype=torch.bool, device=history.device)
    if n > T:
        return mask
    runs = history.unfold(2, n, 1)  # (B, W, T - n + 1, n)
    last = history[:, :, T - n + 1 :]
    again = (runs[..., :-1] == last[:, :, None]).all(3)
    counts = torch.zeros(mask.shape, dtype=torch.int64, device=history.device)
    return counts.scatter_add_(2, runs[..., -1], again.long()) > 0


class Outputs(NamedTuple):
    """Decoded outputs, the best of each input first.

    Attributes
    ----------
    codes : int64 tensor of shape (B, W, T)
        Symbols, padded on the right; the end is not among them.
    lengths : int64 tensor of shape (B, W)
        Number of symbols.
    log_proba : tensor of shape (B, W)
        Log-probability of each output, its end included; minus infinity where there are fewer outputs than W.
    """

    codes: torch.Tensor
    lengths: torch.Tensor
    log_proba: torch.Tensor


def draw_greedily(log_proba, samples, n_steps):
    """Return the most probable symbol of each hypothesis, (B, W, V) -> (B, W)."""
    return log_proba.argmax(2)


class Sampler:
    """Draw symbols at random, each input from a stream of its own: neighbours in the batch do not matter.

    Parameters
    ----------
    seed : int
        Decides all that is drawn.
    temperature : float, default=1.0
        Log-probabilities are divided by it.
    top_k : int, default=None
        Draw from the k most probable symbols.
    top_p : float, default=None
        Draw from the fewest symbols whose probability together is at least this (nucleus sampling, Holtzman et al.
        2020).
    """

    def __init__(self, seed, temperature=1.0, top_k=None, top_p=None):
        self.seed = seed
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p

    def __call__(self, log_proba, samples, n_steps):
        """Return a symbol for each hypothesis, (B, W, V) -> (B, W)."""
        log_proba, symbols = (log_proba / self.temperature).sort(dim=2, descending=True, stable=True)
        if self.top_k is not None:
            log_proba = log_proba[:, :, : self.top_k]
        share = log_proba.softmax(2).cumsum(2)
        if self.top_p is not None:
            before = torch.nn.functional.pad(share[:, :, :-1], (1, 0))
            share = log_proba.masked_fill(before >= self.top_p, -torch.inf).softmax(2).cumsum(2)
        hypotheses = torch.arange(log_proba.shape[1], device=log_proba.device)
        u = uniform(self.seed, samples[:, None], hypotheses, n_steps) * share[:, :, -1]
        place = torch.searchsorted(share, u[:, :, None].contiguous(), right=True).clamp(max=share.shape[2] - 1)
        return symbols.gather(2, place)[:, :, 0]


_MIX = (-0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)  # of splitmix64


def uniform(seed, *places):
    """Return numbers in [0, 1) that depend on the seed and on a place alone (splitmix64, Steele et al. 2014).

    Parameters
    ----------
    seed : int
        A seed.
    *places : int or int64 tensor
        Coordinates of a place, broadcast.

    Returns
    -------
    u : float64 tensor
        One number a place.
    """
    z = torch.tensor(0)
    for place in (seed & 0x7FFFFFFFFFFFFFFF, *places):
        z = z + torch.as_tensor(place) + 1
        z = z * _MIX[0] + _MIX[0]
        z = (z ^ _shifted(z, 30)) * _MIX[1]
        z = (z ^ _shifted(z, 27)) * _MIX[2]
        z = z ^ _shifted(z, 31)
    return _shifted(z, 11).double() * 2.0**-53


def _shifted(z, n):
    return (z >> n) & ((1 << (64 - n)) - 1)


def walk(hypotheses, limits, choose):
    """Write outputs symbol by symbol, each chosen for good.

    Parameters
    ----------
    hypotheses : object
        See the head of this module.
    limits : Limits
        What outputs may be.
    choose : callable
        ``choose(log_proba (B, W, V), samples (B,), n_steps) -> codes (B, W)``: :func:`draw_greedily` or a
        :class:`Sampler`.

    Returns
    -------
    outputs : Outputs
        W outputs an input, in the order of the hypotheses.
    """
    B, W = len(limits.longest), hypotheses.width
    samples = torch.arange(B, device=limits.longest.device)
    codes = torch.full((B, W), hypotheses.begin, device=samples.device)
    history = codes[:, :, None][:, :, :0]
    total = torch.zeros(B, W, dtype=torch.float64, device=samples.device)
    out = Outputs(history, torch.zeros_like(codes), total.clone())
    done = torch.zeros_like(codes, dtype=torch.bool)
    while len(samples):
        log_proba = hypotheses.step(codes)
        codes = choose(limits.allowed(log_proba, history, samples), samples, history.shape[2])
        codes = codes.masked_fill(done, limits.end)
        total = total + log_proba.gather(2, codes[:, :, None])[:, :, 0].double().masked_fill(done, 0.0)
        out.lengths[samples] += (~done & (codes != limits.end)).long()
        done = done | (codes == limits.end)
        history = torch.cat([history, codes[:, :, None]], dim=2)
        over = done.all(1)
        if over.any():
            out.log_proba[samples[over]] = total[over]
            out = out._replace(codes=_write(out.codes, history[over], samples[over], limits.end))
            staying = torch.nonzero(~over)[:, 0]
            hypotheses.keep(staying)
            samples, codes, history, total, done = (x[staying] for x in (samples, codes, history, total, done))
    return out


def _write(codes, history, samples, fill):
    """Return codes, lengthened where needed, with the histories of some samples written into them."""
    missing = history.shape[2] - codes.shape[2]
    if missing > 0:
        codes = torch.nn.functional.pad(codes, (0, missing), value=fill)
    codes[samples, :, : history.shape[2]] = history
    return codes


def penalty(n_steps, alpha):
    """Return what the log-probability of an output of some symbols, its end among them, is divided by (Wu et al. 2016).

    Parameters
    ----------
    n_steps : int
        Number n of symbols.
    alpha : float
        0 for no penalty; the larger, the longer the outputs.

    Returns
    -------
    penalty : float
        ``((5 + n) / 6) ** alpha``.
    """
    return ((5 + n_steps) / 6) ** alpha


def beam_search(hypotheses, limits, length_penalty=0.0):
    """Write outputs, the most probable W beginnings of each kept at every step.

    A beginning among the W best that ends is put aside. The search of an input is over when W are put aside, or none is
    left. With W = 1 this is greedy decoding; with W at least the number of all outputs it finds the best of them.

    Parameters
    ----------
    hypotheses : object
        See the head of this module.
    limits : Limits
        What outputs may be.
    length_penalty : float, default=0.0
        The exponent of :func:`penalty`: outputs are ranked by their log-probability divided by it.

    Returns
    -------
    outputs : Outputs
        W outputs an input, the best first.
    """
    B, W, device = len(limits.longest), hypotheses.width, limits.longest.device
    samples = torch.arange(B, device=device)
    codes = torch.full((B, W), hypotheses.begin, device=device)
    live = torch.full((B, W), -torch.inf, dtype=torch.float64, device=device)
    live[:, 0] = 0.0
    history = codes[:, :, None][:, :, :0]
    pool = _Pool(B, W, device)
    out = Outputs(history, torch.zeros_like(codes), torch.full_like(live, -torch.inf))
    while len(samples):
        log_proba = limits.allowed(hypotheses.step(codes), history, samples)
        V = log_proba.shape[2]
        total = (live[:, :, None] + log_proba.double()).flatten(1)  # (B, W * V)
        best = total.topk(min(W + W, total.shape[1]), dim=1)
        parents, symbols = best.indices // V, best.indices % V
        ends = symbols == limits.end
        among = torch.arange(parents.shape[1], device=device) < W
        rank = penalty(history.shape[2] + 1, length_penalty)
        pool.add(best.values.masked_fill(~(ends & among), -torch.inf), parents, history, rank, limits.end)
        live, places = best.values.masked_fill(ends, -torch.inf).topk(min(W, parents.shape[1]), dim=1)
        live, places = _filled(live, W, -torch.inf), _filled(places, W, 0)
        parents, codes = parents.gather(1, places), symbols.gather(1, places)
        hypotheses.branch(parents)
        history = history.gather(1, parents[:, :, None].expand(-1, -1, history.shape[2]))
        history = torch.cat([history, codes[:, :, None]], dim=2)
        over = (pool.count >= W) | (live == -torch.inf).all(1)
        if over.any():
            out.lengths[samples[over]], out.log_proba[samples[over]] = pool.lengths[over], pool.log_proba[over]
            out = out._replace(codes=_write(out.codes, pool.codes[over], samples[over], limits.end))
            staying = torch.nonzero(~over)[:, 0]
            hypotheses.keep(staying)
            pool.keep(staying)
            samples, codes, history, live = (x[staying] for x in (samples, codes, history, live))
    return out


def _filled(x, width, value):
    return torch.nn.functional.pad(x, (0, width - x.shape[1]), value=value)


class _Pool:
    """The W best outputs of each input that have ended so far."""

    def __init__(self, n_samples, width, device):
        self.codes = torch.zeros(n_samples, width, 0, dtype=torch.int64, device=device)
        self.lengths = torch.zeros(n_samples, width, dtype=torch.int64, device=device)
        self.log_proba = torch.full((n_samples, width), -torch.inf, dtype=torch.float64, device=device)
        self.score = self.log_proba.clone()
        self.count = torch.zeros(n_samples, dtype=torch.int64, device=device)

    def add(self, log_proba, parents, history, rank, fill):
        """Put aside hypotheses of finite log-probability (B, M), which end after the histories of their parents."""
        ended = log_proba > -torch.inf
        if not ended.any():
            return
        self.count += ended.sum(1)
        n_steps, width = history.shape[2], self.codes.shape[1]
        codes = torch.nn.functional.pad(self.codes, (0, n_steps - self.codes.shape[2]), value=fill)
        new = history.gather(1, parents[:, :, None].expand(-1, -1, n_steps))
        score = torch.cat([self.score, log_proba / rank], dim=1)
        self.score, kept = score.topk(width, dim=1)
        self.codes = torch.cat([codes, new], dim=1).gather(1, kept[:, :, None].expand(-1, -1, n_steps))
        lengths = torch.cat([self.lengths, torch.full_like(parents, n_steps)], dim=1)
        self.log_proba = torch.cat([self.log_proba, log_proba], dim=1).gather(1, kept)
        self.lengths = lengths.gather(1, kept).masked_fill(self.log_proba == -torch.inf, 0)

    def keep(self, samples):
        """Go on with some of the inputs alone."""
        for name, value in vars(self).items():
            setattr(self, name, value[samples])


# -- symbols aligned to their input (CTC)


def collapse(path, lengths, blank):
    """Join repetitions and drop blanks.

    Parameters
    ----------
    path : int64 tensor of shape (B, T)
        A symbol or blank for every input step, padded on the right.
    lengths : int64 tensor of shape (B,)
        Number of valid steps.
    blank : int
        Code of the blank.

    Returns
    -------
    codes : int64 tensor of shape (B, T)
        Symbols, padded on the right with blanks.
    lengths : int64 tensor of shape (B,)
        Number of symbols.
    """
    valid = torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    before = torch.nn.functional.pad(path, (1, 0), value=blank)[:, :-1]
    kept = valid & (path != blank) & (path != before)
    order = (~kept).long().argsort(dim=1, stable=True)
    return path.masked_fill(~kept, blank).gather(1, order), kept.sum(1)


def prefix_beam_search(log_proba, lengths, blank, width):
    """Find the most probable transcripts, each the sum over its paths (Graves et al. 2006; Hannun et al. 2014).

    Parameters
    ----------
    log_proba : tensor of shape (B, T, K)
        Log-probabilities of symbols and blank at every input step.
    lengths : int64 tensor of shape (B,)
        Number of valid steps.
    blank : int
        Code of the blank.
    width : int
        Number W of beginnings that are kept.

    Returns
    -------
    outputs : Outputs
        W transcripts an input, the most probable first; log-probabilities are those of the paths that were kept.
    """
    log_proba = log_proba.double()
    B, T, K = log_proba.shape
    device = log_proba.device
    codes = torch.full((B, width, T), blank, device=device)
    count = torch.zeros(B, width, dtype=torch.int64, device=device)
    last = torch.full((B, width), blank, device=device)
    name = torch.arange(width, device=device).expand(B, -1) - width  # names of beginnings; those not in use differ
    parent = torch.full_like(name, -2 * width - 1)
    in_blank = torch.full((B, width), -torch.inf, dtype=torch.float64, device=device)
    in_blank[:, 0] = 0.0
    in_symbol = torch.full_like(in_blank, -torch.inf)
    state = (codes, count, last, name, parent, in_blank, in_symbol)
    for t in range(T):
        after = _extended(state, log_proba[:, t], blank)
        active = t < lengths
        state = tuple(
            torch.where(active.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in zip(after, state, strict=True)
        )
    codes, count, _, _, _, in_blank, in_symbol = state
    total, order = torch.logaddexp(in_blank, in_symbol).sort(dim=1, descending=True, stable=True)
    return Outputs(codes.gather(1, order[:, :, None].expand(-1, -1, T)), count.gather(1, order), total)


def _extended(state, log_proba, blank):
    """Return the best beginnings after one more step, log_proba (B, K)."""
    codes, count, last, name, parent, in_blank, in_symbol = state
    (B, W), K = last.shape, log_proba.shape[1]
    total = torch.logaddexp(in_blank, in_symbol)
    at_last = log_proba.gather(1, last)
    stay_blank = total + log_proba[:, blank, None]
    stay_symbol = (in_symbol + at_last).masked_fill(last == blank, -torch.inf)
    grown = total[:, :, None] + log_proba[:, None]  # (B, W, K)
    grown.scatter_(2, last[:, :, None], (in_blank + at_last)[:, :, None])  # a repetition needs a blank before it
    grown[:, :, blank] = -torch.inf
    # A beginning that grows into another one that is kept adds to that one.
    same = (parent[:, None] == name[:, :, None]) & (total > -torch.inf)[:, None]  # (B, from, to)
    joined = grown.gather(2, last[:, None].expand(-1, W, -1)).masked_fill(~same, -torch.inf)
    stay_symbol = torch.logaddexp(stay_symbol, joined.logsumexp(1))
    taken = torch.zeros(B, W, K, dtype=torch.int64, device=grown.device)
    taken.scatter_add_(2, last[:, None].expand(-1, W, -1), same.long())
    grown = grown.masked_fill(taken > 0, -torch.inf)
    candidates = torch.cat([torch.logaddexp(stay_blank, stay_symbol), grown.flatten(1)], dim=1)
    _, kept = candidates.topk(W, dim=1)
    grows = kept >= W
    origin = torch.where(grows, (kept - W) // K, kept)
    symbol = torch.where(grows, (kept - W) % K, last.gather(1, origin))
    new_codes = codes.gather(1, origin[:, :, None].expand(-1, -1, codes.shape[2]))
    old_count = count.gather(1, origin)
    place = old_count.clamp(max=codes.shape[2] - 1)[:, :, None]
    new_codes.scatter_(2, place, torch.where(grows[:, :, None], symbol[:, :, None], new_codes.gather(2, place)))
    old_name = name.gather(1, origin)
    flat = grown.flatten(1).gather(1, (kept - W).clamp(min=0))
    return (
        new_codes,
        old_count + grows.long(),
        symbol,
        torch.where(grows, _named(old_name, symbol), old_name),
        torch.where(grows, old_name, parent.gather(1, origin)),
        stay_blank.gather(1, origin).masked_fill(grows, -torch.inf),
        torch.where(grows, flat, stay_symbol.gather(1, origin)),
    )


def _named(name, symbol):
    """Return the name of a longer beginning: names of different ones differ, but for one chance in 2**64."""
    z = (name + symbol + 1) * _MIX[0] + symbol
    z = (z ^ _shifted(z, 30)) * _MIX[1]
    return z ^ _shifted(z, 27)
