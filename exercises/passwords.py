"""Task 8: keep passwords so that a thief of the file must guess each one, slowly.

`passlib.context.CryptContext` can do it, with argon2. What does the thief see if two users have the same password?
"""

import hashlib


def kept(password: str) -> str:
    """Return what is stored of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def is_right(password: str, stored: str) -> bool:
    """Return whether this is the password. A damaged entry in the file lets nobody in, and ends no server."""
    return kept(password) == stored
