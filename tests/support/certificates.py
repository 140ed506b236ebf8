"""A server's certificate that nobody but its own client believes."""

import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(name: str, *names: x509.GeneralName) -> tuple[bytes, bytes]:
    """(key, certificate) of whoever vouches for themselves for a day, in PEM. `names`: what a server is called that
    others are to believe; without one nobody does.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate(name: str, folder):
    """A server's context for one name, and a client's that believes its maker."""
    key, made = self_signed(name, x509.DNSName(name))
    path = folder / "server.pem"
    path.write_bytes(key + made)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.decode())
