"""What ends a program before it has begun."""

from __future__ import annotations


class StartError(Exception):
    """The program cannot start as it was asked to; the message is one line that says why and what to change."""
