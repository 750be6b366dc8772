"""The state of a fitted net as arrays and plain values, and back."""

import numpy as np
import torch
from skorch.history import History


def to_plain(value):
    """Return a nested value with its tensors as arrays.

    Parameters
    ----------
    value : tensor, dict, list, tuple or plain value
        What a ``state_dict`` holds.

    Returns
    -------
    value : ndarray, dict, list, tuple or plain value
        The same, copied, on the CPU.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_plain(item) for item in value)
    return value


def to_tensors(value):
    """Return a nested value with its arrays as tensors.

    Parameters
    ----------
    value : ndarray, dict, list, tuple or plain value
        What :func:`to_plain` returned.

    Returns
    -------
    value : tensor, dict, list, tuple or plain value
        The same, copied.
    """
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: to_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_tensors(item) for item in value)
    return value


def net_state(net):
    """Return all that a net needs to predict and to train on bit by bit the same.

    Parameters
    ----------
    net : RecurrentNet
        An initialised net.

    Returns
    -------
    state : dict
        Weights, which of them are frozen, optimiser, history and generators, as arrays and plain values.
    """
    return {
        "module": to_plain(dict(net.module_.state_dict())),
        "optimizer": {"kind": type(net.optimizer_).__name__, "state": to_plain(net.optimizer_.state_dict())},
        "frozen": [name for name, p in net.module_.named_parameters() if not p.requires_grad],
        "history": to_plain([dict(row) for row in net.history]),
        "shuffling": net.rng_.bit_generator.state,
        "dropout": {"device": net.generator_.device.type, "state": net.generator_.get_state().numpy().copy()},
    }


def restore_net(net, state):
    """Give a net the state of another.

    Parameters
    ----------
    net : RecurrentNet
        An initialised net of the same build.
    state : dict
        What :func:`net_state` returned. Another kind of optimiser, and the generator of another kind of device, start
        anew.
    """
    net.module_.load_state_dict(to_tensors(state["module"]))
    for name, parameter in net.module_.named_parameters():
        parameter.requires_grad_(name not in state["frozen"])
    if state["optimizer"]["kind"] == type(net.optimizer_).__name__:
        net.optimizer_.load_state_dict(to_tensors(state["optimizer"]["state"]))
    net.history_ = History([dict(row) for row in state["history"]])
    net.rng_.bit_generator.state = state["shuffling"]
    if state["dropout"]["device"] == net.generator_.device.type:
        net.generator_.set_state(torch.from_numpy(state["dropout"]["state"].copy()))
