"""A real Kubernetes for tests, on a machine without Docker: from Go modules and Debian packages.

`python -m kubernetes_cluster up` (with e2e/ on the path) makes one of a single node; the class
`ControlPlane` alone makes an API server with its controllers and no node, in seconds.
"""
