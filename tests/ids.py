"""Names of parameters in the names of tests."""

import re


def shown(value):
    """Text that is the same in every process: without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
