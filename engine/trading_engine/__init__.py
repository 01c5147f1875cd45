"""The partition: the only writer of its slots."""
