"""Why a machine cannot run it."""

from __future__ import annotations


class CannotError(Exception):
    """Something is missing on this machine; the text says what and the way out."""
