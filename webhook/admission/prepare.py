"""
Read the policies of a large review beforehand, where nobody waits for it.

What takes long is to read ten thousand addresses, and to find out what they are together. Pure and on values of its
own, so it may run in another thread. What was read travels with the request, and the decision takes it in the place of
reading; it says the same with and without.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webhook.admission.review import AdmissionRequest, Reading, Readings
from webhook.eem.resources import NETWORK_POLICIES
from webhook.netpol.parse import read_policy


def prepared(request: AdmissionRequest) -> AdmissionRequest:
    """Give *request* with its policies read; as it is, where it is about something else."""
    asked = (request.resource.group, request.resource.resource)
    if asked != (NETWORK_POLICIES.group, NETWORK_POLICIES.plural):
        return request
    new, old = _reading(request.object, request.namespace), _reading(request.old_object, request.namespace)
    return replace(request, readings=Readings(new=new, old=old))


def _reading(api_object: Mapping[str, Any] | None, namespace: str) -> Reading | None:
    if api_object is None:
        return None
    policy, faults = read_policy(api_object, namespace)
    return policy, faults
