"""Rules for `spec.manager.storage`: what keeps the catalogue and the users, and what cannot be changed later."""

from collections.abc import Sequence

from webhook.eem.rules.model import EEM, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.nodes import Tree, mapping, text
from webhook.eem.rules.paths import shown
from webhook.eem.rules.quantity import quantity

_PATH = ("spec", "manager", "storage")
_REFERENCE = "EEM 11.8 manager reference, storage"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_SOURCES = ("storageClassName", "existingClaimName", "selectors")
# The documented size where none is given; releases disagree, so what is compared is the one that accuses nobody.
_SMALLEST_DEFAULT = "100Mi"
_LARGEST_DEFAULT = "500Mi"
# Below one mebibyte a unit was forgotten: the smallest documented size is 100Mi.
_ONE_MEBIBYTE = 1024**2


def _storage(subject: Subject) -> Tree:
    return mapping(subject.spec, "manager", "storage")


def _has_type(storage: Tree, type_: str) -> bool:
    return storage.get("type") == type_


def _fault(name: str, message: str) -> tuple[Fault, ...]:
    return (Fault(path=(*_PATH, name), message=message),)


def _tiny(subject: Subject) -> Sequence[Fault]:
    size = text(_storage(subject), "size")
    amount = quantity(size)
    if amount is None or not 0 < amount < _ONE_MEBIBYTE:
        return ()
    return _fault("size", f'"{size}" is less than a mebibyte: expected a unit, such as {size.rstrip("mun")}Mi')


def _ephemeral_in_production(subject: Subject) -> Sequence[Fault]:
    use = text(subject.spec, "license", "use")
    is_production = use.endswith("Production") and not use.endswith("NonProduction")
    if not is_production or not _has_type(_storage(subject), "ephemeral"):
        return ()
    return _fault("type", f"is ephemeral, with the licence for {use}: all data is lost when the pod restarts")


def _no_source(subject: Subject) -> Sequence[Fault]:
    if subject.context.storage_classes is not None or not _lacks_source(_storage(subject)):
        return ()
    message = (
        "is persistent-claim without storageClassName, existingClaimName or selectors: needs a default StorageClass"
    )
    return _fault("type", message)


def _no_default_class(subject: Subject) -> Sequence[Fault]:
    classes = subject.context.storage_classes
    if classes is None or not _lacks_source(_storage(subject)):
        return ()
    if any(text(entry, "metadata", "annotations", key) == "true" for entry in classes for key in _DEFAULT_CLASS):
        return ()
    return _fault("storageClassName", "must be set: the cluster has no default StorageClass, so no volume would come")


def _lacks_source(storage: Tree) -> bool:
    return _has_type(storage, "persistent-claim") and not any(storage.get(name) for name in _SOURCES)


def _missing_class(subject: Subject) -> Sequence[Fault]:
    classes, wanted = subject.context.storage_classes, text(_storage(subject), "storageClassName")
    if classes is None or not wanted or any(text(entry, "metadata", "name") == wanted for entry in classes):
        return ()
    return _fault("storageClassName", f'"{shown(wanted)}" is no StorageClass of this cluster')


def _claim_and_class(subject: Subject) -> Sequence[Fault]:
    storage = _storage(subject)
    if not text(storage, "existingClaimName"):
        return ()
    others = [name for name in ("storageClassName", "selectors") if storage.get(name)]
    if not others:
        return ()
    return _fault("existingClaimName", f"names a claim that exists, so {' and '.join(others)} will not count")


def _unused(subject: Subject) -> Sequence[Fault]:
    storage = _storage(subject)
    if not _has_type(storage, "ephemeral"):
        return ()
    return [
        Fault(path=(*_PATH, name), message="counts for persistent-claim only, and the type is ephemeral")
        for name in (*_SOURCES, "deleteClaim")
        if storage.get(name)
    ]


def _rotation(subject: Subject) -> Sequence[Fault]:
    if not text(_storage(subject), "rotationSecretName"):
        return ()
    return _fault("rotationSecretName", "is for the time of a key's rotation: remove it afterwards")


def _kept_claim(subject: Subject) -> tuple[Tree, Tree] | None:
    """Return old and new storage where both are a persistent claim: the claim then stays the one that exists."""
    old, new = _storage(subject.before), _storage(subject)
    both = _has_type(old, "persistent-claim") and _has_type(new, "persistent-claim")
    return (old, new) if both else None


def _fixed(subject: Subject, name: str) -> Sequence[Fault]:
    pair = _kept_claim(subject)
    if pair is None or (pair[0].get(name) or None) == (pair[1].get(name) or None):
        return ()
    return _fault(name, "cannot change: the claim that exists keeps what it was made with")


def _claim_changed(subject: Subject) -> Sequence[Fault]:
    return _fixed(subject, "existingClaimName")


def _class_changed(subject: Subject) -> Sequence[Fault]:
    return () if _brings_its_claim(subject) else _fixed(subject, "storageClassName")


def _selectors_changed(subject: Subject) -> Sequence[Fault]:
    return () if _brings_its_claim(subject) else _fixed(subject, "selectors")


def _brings_its_claim(subject: Subject) -> bool:
    """Say whether the claim is the user's own, before and after, so that class and selectors never counted."""
    pair = _kept_claim(subject)
    return pair is not None and all(text(storage, "existingClaimName") for storage in pair)


def _shrunk(subject: Subject) -> Sequence[Fault]:
    pair = _kept_claim(subject)
    if pair is None or text(pair[0], "existingClaimName"):
        return ()
    before = text(pair[0], "size") or _SMALLEST_DEFAULT
    after = text(pair[1], "size") or _LARGEST_DEFAULT
    least, now = quantity(before), quantity(after)
    if least is None or now is None or now >= least:
        return ()
    return _fault("size", f"cannot shrink from {before} to {after}: a claim never gives space back")


def _type_changed(subject: Subject) -> Sequence[Fault]:
    before = _storage(subject.before).get("type")
    if before is None or _storage(subject).get("type") == before:
        return ()
    return _fault("type", "changes: what is stored does not move with it and is lost")


def _delete_claim(subject: Subject) -> Sequence[Fault]:
    old, new = _storage(subject.before), _storage(subject)
    if new.get("deleteClaim") is not True or old.get("deleteClaim") is True:
        return ()
    return _fault("deleteClaim", "is turned on: deleting the instance now deletes its data")


RULES: tuple[Rule, ...] = (
    Rule(
        id="storage.tiny",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.size",
        message="A size should have its unit: less than a mebibyte is a slip.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_tiny,
    ),
    Rule(
        id="storage.ephemeral-in-production",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.type",
        message="Production should not keep its data in an ephemeral volume.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_ephemeral_in_production,
    ),
    Rule(
        id="storage.no-source",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.type",
        message="A persistent claim should name class, claim or selectors: the default class is not known here.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_no_source,
    ),
    Rule(
        id="storage.no-default-class",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.storage.storageClassName",
        message="A persistent claim must name class, claim or selectors where no StorageClass is the default.",
        reason=Reason.REQUIRED,
        source='EEM 11.8, "Prerequisites"; Kubernetes, StorageClass',
        check=_no_default_class,
    ),
    Rule(
        id="storage.missing-class",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.storageClassName",
        message="The StorageClass should exist.",
        reason=Reason.NOT_FOUND,
        source="Kubernetes, StorageClass",
        check=_missing_class,
    ),
    Rule(
        id="storage.claim-and-class",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.existingClaimName",
        message="A claim that exists should stand without class and selectors.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_claim_and_class,
    ),
    Rule(
        id="storage.unused",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.type",
        message="Class, claim, selectors and deleteClaim count for a persistent claim only.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_unused,
    ),
    Rule(
        id="storage.rotation",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.rotationSecretName",
        message="The rotation's Secret should be named only while the main key is rotated.",
        reason=Reason.FORBIDDEN,
        source='EEM 11.8, "Rotating the main encryption key"',
        check=_rotation,
    ),
    Rule(
        id="storage.class-changed",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.storage.storageClassName",
        message="The class of a persistent claim cannot change.",
        reason=Reason.FORBIDDEN,
        source="Kubernetes, PersistentVolumeClaim",
        check=_class_changed,
        on=On.UPDATE,
    ),
    Rule(
        id="storage.claim-changed",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.storage.existingClaimName",
        message="The claim of a manager cannot change.",
        reason=Reason.FORBIDDEN,
        source="Kubernetes, StatefulSet",
        check=_claim_changed,
        on=On.UPDATE,
    ),
    Rule(
        id="storage.selectors-changed",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.storage.selectors",
        message="The selectors of a persistent claim cannot change.",
        reason=Reason.FORBIDDEN,
        source="Kubernetes, PersistentVolumeClaim",
        check=_selectors_changed,
        on=On.UPDATE,
    ),
    Rule(
        id="storage.shrunk",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.storage.size",
        message="A persistent claim cannot shrink.",
        reason=Reason.FORBIDDEN,
        source="Kubernetes, PersistentVolumeClaim",
        check=_shrunk,
        on=On.UPDATE,
    ),
    Rule(
        id="storage.type-changed",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.type",
        message="A change of the storage's type loses what is stored.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_type_changed,
        on=On.UPDATE,
    ),
    Rule(
        id="storage.delete-claim",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.storage.deleteClaim",
        message="With deleteClaim the data goes with the instance.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_delete_claim,
        on=On.UPDATE,
    ),
)
