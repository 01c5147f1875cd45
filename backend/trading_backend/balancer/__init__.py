"""The load balancer of one machine: hands each connection to a replica, and is out of the way."""
