"""Give a service its serving pair: from a folder, or one that lives as long as the process."""

from datetime import UTC, datetime

from certs.authority import issue_serving_pair, make_authority
from webhook.main.service import Service
from webhook.settings import Settings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


async def load_certificate(service: Service, settings: Settings) -> None:
    """Take the pair from its folder and keep watching it, or make one that lives as long as the process."""
    if settings.tls_dir is not None:
        await service.certificate.reload()
        service.background.append(service.certificate.watch)
        return
    install_own_pair(service)


def install_own_pair(service: Service) -> None:
    """Serve with a pair that is made now and never leaves this process."""
    now = datetime.now(UTC)
    authority = make_authority(now=now)
    pair = issue_serving_pair(authority, names=LOOPBACK_NAMES, now=now)
    service.certificate.install(pair.certificate_pem(), pair.key_pem(), authority.certificate_pem())
