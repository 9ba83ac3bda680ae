"""
What NetworkPolicies mean: the pure core.

It knows pods, namespaces, policies and sets of sources. It does not know EEM, admission, files or a network, and it is
given everything it needs as an argument.
"""

from webhook.netpol.evaluate import Connection, ConnectionVerdict, evaluate
from webhook.netpol.explain import explain
from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.snapshot import ClusterSnapshot

__all__ = ["ClusterSnapshot", "Connection", "ConnectionVerdict", "Fault", "SpecError", "evaluate", "explain"]
