"""The operator on Kubernetes: leadership, watches, a worklist, one visit at a time per cluster."""
