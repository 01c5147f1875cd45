"""Components as objects of Kubernetes: builders, one look, one action."""
