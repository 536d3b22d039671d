"""A certificate for a sandboxed nginx; no client needs to trust it."""

from __future__ import annotations

from pathlib import Path

CERTIFICATE, KEY = "certificate.pem", "key.pem"


def write_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Write a throw-away certificate for `names` (default: localhost) into `folder`.

    Returns:
        Paths of the certificate chain and of its private key, both PEM.

    Raises:
        ImportError: trustme is not installed.
    """
    import trustme

    issued = trustme.CA().issue_cert(*(names or ("localhost",)))
    chain, key = folder / CERTIFICATE, folder / KEY
    chain.unlink(missing_ok=True)
    for certificate in issued.cert_chain_pems:
        certificate.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    return chain, key
