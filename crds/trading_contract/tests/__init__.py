"""Tests of the contract: promises in sentences."""
