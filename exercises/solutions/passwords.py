"""argon2 is slow on purpose and takes memory, so that graphics cards do not help. Each hash has a salt of its own, so
equal passwords look different, and no table made in advance has them.
"""

from passlib.context import CryptContext

CONTEXT = CryptContext(schemes=["argon2"])


def kept(password: str) -> str:
    """Return what is stored of a password."""
    return CONTEXT.hash(password)


def is_right(password: str, stored: str) -> bool:
    """Return whether this is the password. A damaged entry in the file lets nobody in, and ends no server."""
    try:
        return CONTEXT.verify(password, stored)
    except (ValueError, TypeError):
        return False
