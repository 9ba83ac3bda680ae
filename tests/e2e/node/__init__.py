"""
A node of Kubernetes on this machine: kubelet, container runtime, real packets, and the image from the Dockerfile.

`availability` reports whether this machine can be a node. `binaries` and `images` build its parts, once. `cluster` is
what a test uses. `inside` runs as process 1 of the node's namespaces.
"""
