"""Settings and fixtures of the whole suite."""

import os
import signal

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn, never shown

import pytest
import torch

# The tests' models are small: more threads would only wait for each other.
torch.set_num_threads(1)

# A suite that a shell starts in the background inherits an ignored Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def global_random_seed():
    """Give the seed of a test that must hold for any seed: 42, or SKTIME_RNN_TEST_SEED."""
    return int(os.environ.get("SKTIME_RNN_TEST_SEED", "42"))
