"""The kinds of cluster that the end-to-end tests can have, and what each of them cannot have."""

CLUSTERS = {
    "plane": "a control plane with a stand-in for the kubelet",
    "node": "a node of this machine's own: the image, a real kubelet, packets",
    "kind": "the kind cluster of tests/e2e/kind.sh",
    "kubeconfig": "the cluster that kubectl reaches as it is set up",
}
ELSEWHERE = {
    "plane": "what needs a kubelet or packets (tests/e2e/node)",
    "node": "what orders the plane about, as tests/outage does",
    "kind": "what needs a machine of the tests' own or the API server's audit log",
    "kubeconfig": "what needs a machine of the tests' own or the API server's audit log",
}
