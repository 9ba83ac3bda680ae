"""
Another analyzer as an oracle: network-config-analyzer computes whole sets of connections (NetworkPolicy, Calico).

It runs as a process in an environment of its own, which `requirements/analyzer.txt` pins. Nothing of it is part of the
service.
"""
