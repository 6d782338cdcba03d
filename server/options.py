"""The options of the rule books, as types. A module of its own: importing it imports no database and no hashing."""

from typing import Annotated

from pydantic import Field

from server.settings import Seconds, Section

MOST_PASSWORD_CHARACTERS = 256


class Argon2Options(Section):
    """The cost of a hash. The default is one of OWASP's: 19 MiB, two passes, about 20 ms."""

    memory_kib: Annotated[int, Field(ge=8, le=262_144)] = 19456
    time_cost: Annotated[int, Field(ge=1, le=100)] = 2
    parallelism: Annotated[int, Field(ge=1, le=16)] = 1


class PasswordOptions(Section):
    min_length: Annotated[int, Field(ge=1, le=MOST_PASSWORD_CHARACTERS)] = 8
    argon2: Argon2Options = Argon2Options()


class SessionOptions(Section):
    idle: Seconds = 86400
    absolute: Seconds = 604800
    per_user: Annotated[int, Field(ge=1, le=1000)] = 5
    renew_after: Seconds = 3600


class LockoutOptions(Section):
    free_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    first_delay: Seconds = 30
    max_delay: Seconds = 3600
