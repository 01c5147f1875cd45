"""What two components must agree on: pure models, no I/O."""
