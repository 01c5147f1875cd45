"""Measuring: the sides under test, the load driver, the figures and their report."""
