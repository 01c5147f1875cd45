"""The plan for a cluster whose components are objects of Kubernetes.

Facts about the components are the same as on one machine; what differs is what is seen of them and
what may be done.
"""
