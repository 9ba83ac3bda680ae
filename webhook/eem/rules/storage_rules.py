"""Rules for `spec.manager.storage`: where the catalogue and the users are stored, and what cannot change later."""

from webhook.eem.rules.formats import quantity
from webhook.eem.rules.rule import MANAGER_ONLY, UPDATE_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, object_at, shown, text_at

_PATH = ("spec", "manager", "storage")
_REFERENCE = "EEM 11.8 manager reference, storage"
_CLAIM = "Kubernetes, PersistentVolumeClaim"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_SOURCES = ("storageClassName", "existingClaimName", "selectors")
# The documented size where none is given. Releases disagree, so a change is compared with the one that allows more.
_SMALLEST_DEFAULT = "100Mi"
_LARGEST_DEFAULT = "500Mi"
# Below one mebibyte a unit was forgotten: the smallest documented size is 100Mi.
_ONE_MEBIBYTE = 1024**2


def _at(name: str) -> Path:
    return (*_PATH, name)


def _storage(resource: Resource) -> Tree:
    return object_at(resource.spec, "manager", "storage")


def _has_type(storage: Tree, type_: str) -> bool:
    return storage.get("type") == type_


def _lacks_source(storage: Tree) -> bool:
    return _has_type(storage, "persistent-claim") and not any(storage.get(name) for name in _SOURCES)


def _default_classes(resource: Resource) -> tuple[object, ...]:
    """Return the names of the classes that are the default: one, unless the cluster's administrator made a mistake."""
    return tuple(
        text_at(entry, "metadata", "name")
        for entry in resource.context.storage_classes or ()
        if any(text_at(entry, "metadata", "annotations", key) == "true" for key in _DEFAULT_CLASS)
    )


@rule(
    "storage.tiny",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.size",
    message="A size should have a unit: less than one mebibyte is a typo.",
    source=_REFERENCE,
)
def _tiny(resource: Resource) -> Violations:
    size = text_at(_storage(resource), "size")
    amount = quantity(size)
    if amount is not None and 0 < amount < _ONE_MEBIBYTE:
        yield _at("size"), f'is less than one mebibyte: give a unit, such as {size.rstrip("mun")}Mi, not "{size}"'


@rule(
    "storage.ephemeral-in-production",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.type",
    message="Production should not store its data in an ephemeral volume.",
    source=_REFERENCE,
)
def _ephemeral_in_production(resource: Resource) -> Violations:
    use = text_at(resource.spec, "license", "use")
    is_production = use.endswith("Production") and not use.endswith("NonProduction")
    if is_production and _has_type(_storage(resource), "ephemeral"):
        yield _at("type"), f"should be persistent-claim with the licence for {use}: a restarted pod loses all data"


@rule(
    "storage.no-source",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.type",
    message="A persistent claim should name a class, a claim or selectors if the default class is not known.",
    reason="Required",
    source=_REFERENCE,
)
def _no_source(resource: Resource) -> Violations:
    if resource.context.storage_classes is None and _lacks_source(_storage(resource)):
        message = "is persistent-claim without storageClassName, existingClaimName or selectors"
        yield _at("type"), f"{message}: the cluster must have a default StorageClass"


@rule(
    "storage.no-default-class",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.storageClassName",
    message="A persistent claim must name a class, a claim or selectors if no StorageClass is the default.",
    reason="Required",
    source='EEM 11.8, "Prerequisites"; Kubernetes, StorageClass',
    lasting=True,
)
def _no_default_class(resource: Resource) -> Violations:
    if resource.context.storage_classes is None or not _lacks_source(_storage(resource)):
        return
    if not _default_classes(resource):
        message = "must be set: the cluster has no default StorageClass, so the claim would stay without a volume"
        yield _at("storageClassName"), message


@rule(
    "storage.missing-class",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.storageClassName",
    message="The StorageClass should exist.",
    reason="NotFound",
    source="Kubernetes, StorageClass",
)
def _missing_class(resource: Resource) -> Violations:
    classes, wanted = resource.context.storage_classes, text_at(_storage(resource), "storageClassName")
    if classes is None or not wanted or any(text_at(entry, "metadata", "name") == wanted for entry in classes):
        return
    yield _at("storageClassName"), f'names "{shown(wanted)}", but the cluster has no such StorageClass'


@rule(
    "storage.claim-and-class",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.existingClaimName",
    message="An existing claim should be named without a class and without selectors.",
    reason="Forbidden",
    source=_REFERENCE,
)
def _claim_and_class(resource: Resource) -> Violations:
    storage = _storage(resource)
    others = [name for name in ("storageClassName", "selectors") if storage.get(name)]
    if text_at(storage, "existingClaimName") and others:
        yield _at("existingClaimName"), f"names an existing claim, so {' and '.join(others)} has no effect: remove it"


@rule(
    "storage.unused",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.type",
    message="A class, a claim, selectors and deleteClaim have an effect for a persistent claim only.",
    reason="Forbidden",
    source=_REFERENCE,
)
def _unused(resource: Resource) -> Violations:
    storage = _storage(resource)
    if not _has_type(storage, "ephemeral"):
        return
    for name in (*_SOURCES, "deleteClaim"):
        if storage.get(name):
            yield _at(name), "has no effect: the storage is ephemeral, not persistent-claim"


@rule(
    "storage.rotation",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.rotationSecretName",
    message="The Secret for rotation should be named only while the main encryption key is rotated.",
    reason="Forbidden",
    source='EEM 11.8, "Rotating the main encryption key"',
)
def _rotation(resource: Resource) -> Violations:
    if text_at(_storage(resource), "rotationSecretName"):
        yield (
            _at("rotationSecretName"),
            "is only for use while the main encryption key is rotated: remove it afterwards",
        )


def _kept_claim(resource: Resource) -> tuple[Tree, Tree] | None:
    """Return old and new storage where both are a persistent claim: then the existing claim stays in use."""
    old, new = _storage(resource.before), _storage(resource)
    both = _has_type(old, "persistent-claim") and _has_type(new, "persistent-claim")
    return (old, new) if both else None


def _changed(resource: Resource, name: str) -> tuple[object, object] | None:
    """Return a setting of a kept claim before and after, None where it is not set; None where it stays the same."""
    pair = _kept_claim(resource)
    if pair is None:
        return None
    before, after = (storage.get(name) or None for storage in pair)
    return None if before == after else (before, after)


def _has_own_claim(resource: Resource) -> bool:
    """Whether the claim is the user's own, before and after, so that class and selectors never had an effect."""
    pair = _kept_claim(resource)
    return pair is not None and all(text_at(storage, "existingClaimName") for storage in pair)


_FIXED = "cannot change: the existing claim keeps the value that it was created with"


@rule(
    "storage.class-changed",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.storageClassName",
    message="The class of a persistent claim cannot change.",
    reason="Forbidden",
    source=_CLAIM,
    requests=UPDATE_ONLY,
    lasting=True,
)
def _class_changed(resource: Resource) -> Violations:
    change = None if _has_own_claim(resource) else _changed(resource, "storageClassName")
    if change is None:
        return
    before, after = change
    # A claim without a class got the default one; to write that down, or to leave it out again, changes nothing.
    if before is not None and (after is not None or before not in _default_classes(resource)):
        yield _at("storageClassName"), _FIXED


@rule(
    "storage.class-named",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.storageClassName",
    message="A class that is named later should be the one that the claim already has.",
    reason="Forbidden",
    source=_CLAIM,
    requests=UPDATE_ONLY,
)
def _class_named(resource: Resource) -> Violations:
    change = None if _has_own_claim(resource) else _changed(resource, "storageClassName")
    if change is None:
        return
    before, after = change
    if before is None and after not in _default_classes(resource):
        yield _at("storageClassName"), "is new: it must be the class that the existing claim got by default"


@rule(
    "storage.claim-changed",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.existingClaimName",
    message="The claim of a manager cannot change.",
    reason="Forbidden",
    source="Kubernetes, StatefulSet",
    requests=UPDATE_ONLY,
    lasting=True,
)
def _claim_changed(resource: Resource) -> Violations:
    if _changed(resource, "existingClaimName") is not None:
        yield _at("existingClaimName"), "cannot change: the StatefulSet keeps the claim that it was created with"


@rule(
    "storage.selectors-changed",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.selectors",
    message="The selectors of a persistent claim cannot change.",
    reason="Forbidden",
    source=_CLAIM,
    requests=UPDATE_ONLY,
    lasting=True,
)
def _selectors_changed(resource: Resource) -> Violations:
    if not _has_own_claim(resource) and _changed(resource, "selectors") is not None:
        yield _at("selectors"), _FIXED


@rule(
    "storage.shrunk",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.size",
    message="A persistent claim cannot shrink.",
    reason="Forbidden",
    source=_CLAIM,
    requests=UPDATE_ONLY,
    lasting=True,
)
def _shrunk(resource: Resource) -> Violations:
    pair = _kept_claim(resource)
    if pair is None or text_at(pair[0], "existingClaimName"):
        return
    before = text_at(pair[0], "size") or _SMALLEST_DEFAULT
    after = text_at(pair[1], "size") or _LARGEST_DEFAULT
    least, now = quantity(before), quantity(after)
    if least is not None and now is not None and now < least:
        yield _at("size"), f"cannot shrink from {before} to {after}: a persistent claim can only grow"


@rule(
    "storage.type-changed",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.type",
    message="A change of the storage type loses the stored data.",
    source=_REFERENCE,
    requests=UPDATE_ONLY,
)
def _type_changed(resource: Resource) -> Violations:
    before = _storage(resource.before).get("type")
    if before is not None and _storage(resource).get("type") != before:
        yield _at("type"), "changes: the stored data is not copied to the new storage and is lost"


@rule(
    "storage.delete-claim",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.storage.deleteClaim",
    message="With deleteClaim, deleting the instance deletes its data.",
    source=_REFERENCE,
    requests=UPDATE_ONLY,
)
def _delete_claim(resource: Resource) -> Violations:
    old, new = _storage(resource.before), _storage(resource)
    if new.get("deleteClaim") is True and old.get("deleteClaim") is not True:
        yield _at("deleteClaim"), "is turned on: deleting the instance then deletes its data"
