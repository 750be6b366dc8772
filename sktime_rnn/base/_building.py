"""A network from plain values, and the modules that the user passed."""

import copy

import torch

from sktime_rnn.layers import as_layers
from sktime_rnn.networks import CustomNetwork, FeedbackNetwork, InputScaling, RecurrentNetwork

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


def build_module(spec, head):
    """Return a network, its weights not yet drawn.

    Parameters
    ----------
    spec : dict
        ``precision``, ``per_step``, ``scaling`` (None for tokens), ``network`` (the user's, or None) and ``recurrent``,
        the arguments of :class:`~sktime_rnn.networks.RecurrentNetwork`.
    head : Head
        What comes out.

    Returns
    -------
    module : torch.nn.Module
        In the precision asked for; constants stay in float64.
    """
    if spec["network"] is not None:
        module = CustomNetwork(copy.deepcopy(spec["network"]), head, spec["per_step"])
    else:
        options = dict(spec["recurrent"])
        layers = as_layers(options.pop("cell"), options.pop("nonlinearity"))
        options["step_network"] = copy.deepcopy(options["step_network"])
        network = FeedbackNetwork if layers.cell.needs_feedback else RecurrentNetwork
        module = network(layers, head, per_step=spec["per_step"], **options)
    return with_scaling(module, spec)


def with_scaling(module, spec):
    """Return a network in the precision of its spec, with its input scaling.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    spec : dict
        ``precision`` and ``scaling`` (None for tokens).

    Returns
    -------
    module : torch.nn.Module
        The same.
    """
    dtype = PRECISIONS[spec["precision"]]
    cast(module, dtype)
    module.scaling = None if spec["scaling"] is None else InputScaling(dtype=dtype, **spec["scaling"])
    return module


def cast(module, dtype):
    """Cast a module, but not its float64 constants.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    dtype : torch.dtype
        The training precision.
    """
    constants = {name: buffer for name, buffer in module.named_buffers() if buffer.dtype == torch.float64}
    module.to(dtype)
    for name, buffer in constants.items():
        owner, _, leaf = name.rpartition(".")
        module.get_submodule(owner).register_buffer(leaf, buffer)


def changed_names(old, new):
    """Return the names of what differs between two specs, but for what is learnt from the data.

    Parameters
    ----------
    old, new : dict
        What :func:`build_module` takes.

    Returns
    -------
    names : list of str
        In the order of the old spec.
    """
    parts = ("head", "recurrent", "decoder")
    old, new = (spec | {k: v for part in parts for k, v in spec.get(part, {}).items()} for spec in (old, new))
    left_out = {*parts, "token_counts", "input_shape", "grid_shape", "n_flags"}
    return [
        {"scaling": "missing", "n_values": "feedback"}.get(name, name)
        for name, value in old.items()
        if name not in left_out and value is not new[name] and value != new[name]
    ]
