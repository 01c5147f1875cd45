"""Pure builders of the objects of a cluster: one kind of component each, no clock, no I/O."""
