"""Tests that need no neighbour."""
