"""The options of the rule books, as types. A module of its own: importing it imports no database and no hashing."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from server.settings import Seconds, Section

MOST_PASSWORD_CHARACTERS = 256
MOST_MEMORY_KIB = 262_144
MOST_WORK = 4_194_304
"""Of a hash, in KiB times passes; about two seconds of a core."""
MOST_THREADS = 16


class Argon2Options(Section):
    """The cost of a hash. The default is one of OWASP's: 19 MiB, two passes, about 20 ms."""

    memory_kib: Annotated[int, Field(ge=8, le=MOST_MEMORY_KIB)] = 19456
    time_cost: Annotated[int, Field(ge=1, le=MOST_WORK // 8)] = 2
    parallelism: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1

    @model_validator(mode="after")
    def _bound_the_work(self) -> Self:
        # RFC 9106, 3.1: at least 8 KiB for each lane.
        if self.memory_kib < 8 * self.parallelism:
            raise ValueError(f"memory_kib must be at least {8 * self.parallelism}, 8 for each thread")
        if self.memory_kib * self.time_cost > MOST_WORK:
            raise ValueError(f"memory_kib times time_cost must be at most {MOST_WORK}")
        return self


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
