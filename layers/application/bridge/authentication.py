"""Who may call us: Basic credentials, bearer tokens or keys, each from a list.

Both sides are hashed before they are compared, so that the comparison takes the same
time for any input and accepts any characters. Every credential of the list is compared,
so that timing does not reveal which of them matched.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256

from pydantic import SecretStr

from bridge.credentials import BasicCredential, Secret, SecretModel


def admits[T: SecretModel](
    secret: Secret[T], matches: Callable[[T], bool], *, presented: bool = True
) -> bool:
    """Whether the presented credentials match the secret, if need be after rereading.

    A mismatch may mean that the secret was rotated a moment ago. A caller who presents
    nothing does not have it read again.
    """
    return matches(secret.get()) or (presented and matches(secret.refreshed()))


def basic_matches(header: str | None, credentials: Iterable[BasicCredential]) -> bool:
    """Whether an Authorization header carries one of the credentials (RFC 7617)."""
    username, colon, password = _basic_pair(header)
    matches = [
        _same(username, credential.username)
        & _same(password, credential.password.get_secret_value())
        for credential in credentials
    ]
    return bool(colon) and any(matches)


def basic_username(header: str | None) -> str:
    """The user name that an Authorization header carries, empty if none."""
    username, _, _ = _basic_pair(header)
    return username.decode("utf-8", "replace")


def _basic_pair(header: str | None) -> tuple[bytes, bytes, bytes]:
    """User name, colon and password; all empty if the header is not Basic."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return b"", b"", b""
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b"", b"", b""
    return given.partition(b":")


def bearer_matches(header: str | None, tokens: Iterable[SecretStr]) -> bool:
    """Whether an Authorization header carries one of the tokens (RFC 6750)."""
    scheme, _, given = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    return key_matches(given.strip(), tokens)


def key_matches(given: object, keys: Iterable[SecretStr]) -> bool:
    """Whether a value of any JSON type is one of the keys."""
    try:
        presented = given.encode() if isinstance(given, str) else b""
    except UnicodeEncodeError:
        return False
    matches = [_same(presented, key.get_secret_value()) for key in keys]
    return any(matches)


def _same(given: bytes, expected: str) -> bool:
    digests = sha256(given).digest(), sha256(expected.encode()).digest()
    # An empty credential matches nothing.
    return hmac.compare_digest(*digests) and bool(expected)
