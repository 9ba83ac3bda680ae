"""
A node of Kubernetes on this machine: kubelet, container runtime, real packets, and the image from the Dockerfile.

`availability` says whether it can be had here; `binaries` and `images` build what it is made of, once; `cluster` is
what a test holds; `inside` runs as process 1 of the node's namespaces.
"""
