"""
Fill in the documented defaults of a new EEM instance, where users gain from seeing them.

Nothing is refused here: a request that is about something else gets no patch, and what is wrong with the object is
said by the webhook that validates it.

Source: RFC 6902; the API server applies the patch before it validates.
"""

from webhook.admission.options import Options
from webhook.admission.response import AdmissionResponse, patched
from webhook.admission.review import AdmissionRequest, metadata_text
from webhook.admission.validate import check_is_eem, context_of
from webhook.admission.verdict import ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.rules import defaults


def mutate(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """
    Give the patch for a new instance.

    Raises:
        ReviewError: the request is about another group or version, or lacks its object.
    """
    check_is_eem(request)
    name = request.name or metadata_text(request.object or request.old_object, "name")
    resource = ResourceName(kind=request.kind.kind, namespace=request.namespace, name=name)
    verdict = Verdict(allowed=True, operation=request.operation, resource=resource)
    if request.operation != "CREATE" or request.object is None or request.sub_resource or not options.defaults:
        return patched(verdict, ())
    return patched(verdict, defaults(request.object, context_of(request.namespace, snapshot, options)))
