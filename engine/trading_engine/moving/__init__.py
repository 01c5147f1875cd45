"""Moving slots between partitions, and splitting and merging them, while they are served."""
