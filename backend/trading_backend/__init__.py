"""The replica: the front of the data plane."""
