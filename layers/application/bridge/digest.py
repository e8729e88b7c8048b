"""One digest of several texts (pure)."""

import hashlib


def digest(*parts: str) -> str:
    """SHA-256, in hex, of all parts in order; lone surrogates are allowed.

    Each part is prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
