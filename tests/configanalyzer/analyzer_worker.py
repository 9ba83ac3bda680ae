"""
Answer questions with network-config-analyzer, in its own environment: one line of JSON in, one line out.

A question is a list of objects. The answer is text if they are not valid to it. Else it is a list of products of sets:
sources, destinations, protocols and ports; their union is every connection that is allowed. A source or destination is
the name of a pod or a range of addresses.
"""

import contextlib
import json
import sys

from nca.CoreDS.Peer import BasePeerSet, IpBlock
from nca.NetworkConfig.NetworkConfig import NetworkConfig
from nca.NetworkConfig.PeerContainer import PeerContainer
from nca.NetworkConfig.PoliciesFinder import PoliciesFinder
from nca.NetworkConfig.TopologyObjectsFinder import NamespacesFinder, PodsFinder


def allowed(objects):  # noqa: ANN001, ANN201  it is not part of the project's environment
    BasePeerSet.reset()
    spaces, pods, policies = NamespacesFinder(), PodsFinder(), PoliciesFinder()
    spaces.set_namespaces({"kind": "NamespaceList", "items": [one for one in objects if one["kind"] == "Namespace"]})
    pods.namespaces_finder = spaces
    for one in objects:
        if one["kind"] == "Pod":
            pods.add_eps_from_yaml(one)
    peers = PeerContainer(pods.peer_set, spaces.namespaces, [], pods.representative_peers)
    policies.set_peer_container(peers)
    for one in objects:
        if one["kind"] not in {"Namespace", "Pod"}:
            policies.parse_yaml_code_for_policy(one, "objects")
    policies.parse_policies_in_parse_queue()
    found = NetworkConfig("objects", peers, policies).allowed_connections().all_allowed_conns
    return [product(found.get_connectivity_cube(cube)) for cube in found]


def product(cube):  # noqa: ANN001, ANN201
    ends = [ends_of(cube[name]) for name in ("src_peers", "dst_peers")]
    protocols = intervals(cube["protocols"])
    return [*ends, protocols, intervals(cube["dst_ports"].port_set)]


def ends_of(peers):  # noqa: ANN001, ANN201
    found = []
    for peer in peers:
        if not isinstance(peer, IpBlock):
            found.append(peer.full_name())
        elif peer.is_ipv4_block():
            found += [[int(part.start), int(part.end)] for part in peer.interval_set]
    return found


def intervals(numbers):  # noqa: ANN001, ANN201
    return [[part.start, part.end] for part in numbers.interval_set]


for line in sys.stdin:
    with contextlib.redirect_stdout(sys.stderr):  # its warnings
        try:
            answer = allowed(json.loads(line))
        except SyntaxError as error:
            answer = str(error)
    print(json.dumps(answer), flush=True)
