"""What a planted fault is."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault: what stands in the code, what is put in its place, and the tests that should fail.

    Attributes
    ----------
    name
        What goes wrong, for people.
    file
        Below the package.
    old, new
        Text of the code, which occurs once, and of the fault.
    tests
        Files below ``tests``.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ("widgets/test_numbers.py",)
