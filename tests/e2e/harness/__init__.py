"""
A real control plane on one machine, in namespaces of its own, and a stand-in for the kubelet.

`machine` is what a test holds; `node` runs as process 1 inside the namespaces, with `plane`, `kubelet`, `volumes` and
`container`. When process 1 ends, however it ends, the kernel ends all that it started.
"""
