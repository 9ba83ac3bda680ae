"""
The policy engine of kube-network-policies, asked about the same connections as the product: an oracle by other authors.

The module builds a Go command around the engine, once for each version of the module, with the tools of the tests' own
control plane. It is a development tool: nothing of it is part of the service.
"""
