"""Seeds that depend on the position in training alone, so that a resumed run repeats the uninterrupted one."""

import hashlib

_MASK = 2**64 - 1


def mix(*keys: int) -> int:
    """Hash integers into a seed in [0, 2**63), which is the same on every machine and in every version.

    Reference: splitmix64, Steele et al. 2014, Fast splittable pseudorandom number generators.
    """
    state = 0x9E3779B97F4A7C15
    for key in keys:
        state = (state ^ (int(key) & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state ^= state >> 27
        state = state * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state & (2**63 - 1)


def name_key(name: str) -> int:
    """A number for a name, for ``mix``."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
