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
from bridge.observability import Metric, count


def admits[T: SecretModel](
    secret: Secret[T],
    matches: Callable[[T], bool],
    *,
    shown: str = "",
    presented: bool = True,
) -> bool:
    """Whether the presented credentials match the secret, if need be after rereading.

    A mismatch may mean that the secret was rotated a moment ago, so nobody is refused
    before the secret was read since they came with what they show; raises `Unverified`
    where that is too early. A caller who presents nothing does not have it read at all.
    """
    if not presented:
        return False
    came = secret.now()
    return matches(secret.get()) or matches(secret.read_since(came, shown))


def count_refusal[T: SecretModel](
    secret: Secret[T], is_known: Callable[[T], bool], *, presented: bool = True
) -> None:
    """Count a caller who was refused; only one whom we know by something wakes anybody.

    `is_known` looks for a user name or a key of the caller's in a secret: in the
    present one, or in the one that it has replaced.
    """
    known = False
    if presented:
        replaced = secret.replaced()
        known = is_known(secret.get()) or (replaced is not None and is_known(replaced))
    count(Metric.UNAUTHORIZED if known else Metric.STRANGERS)


def basic_matches(header: str | None, credentials: Iterable[BasicCredential]) -> bool:
    """Whether an Authorization header carries one of the credentials (RFC 7617)."""
    username, colon, password = _basic_pair(header)
    matches = [
        _same(username, credential.username)
        & _same(password, credential.password.get_secret_value())
        for credential in credentials
    ]
    return bool(colon) and any(matches)


def shows_basic(header: str | None) -> bool:
    """Whether an Authorization header carries a user name and a password at all."""
    return bool(_basic_pair(header)[1])


def basic_knows(header: str | None, credentials: Iterable[BasicCredential]) -> bool:
    """Whether an Authorization header carries the user name of one of them."""
    username, _, _ = _basic_pair(header)
    matches = [_same(username, credential.username) for credential in credentials]
    return any(matches)


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


def shows_bearer(header: str | None) -> bool:
    """Whether an Authorization header carries a token at all."""
    return bool(_token(header))


def bearer_matches(header: str | None, tokens: Iterable[SecretStr]) -> bool:
    """Whether an Authorization header carries one of the tokens (RFC 6750)."""
    return key_matches(_token(header), tokens)


def _token(header: str | None) -> str:
    scheme, _, given = (header or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


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
