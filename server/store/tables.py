"""The tables of the database: all stored data, and the constraints that hold for every writer.

Times are seconds since 1970, by the store's own clock. The modules in server/identity know what the rows mean.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = 4
"""The version of these tables. A change makes it higher, and needs a file in migrations/versions."""

TABLES = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only in INTEGER, which has 64 bits there

alembic_version = Table(
    "alembic_version",  # Alembic's own: one row with the version of the tables
    TABLES,
    Column("version_num", String(32), primary_key=True),
)

addresses = Table(
    "addresses",  # the names of the addresses, for identify
    TABLES,
    Column("address", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("created", Double, nullable=False),
)
accounts = Table(
    "accounts",
    TABLES,
    Column("id", _NUMBER, primary_key=True),
    Column("name", Text, nullable=False),  # as first typed
    Column("canonical", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("password_version", Integer, nullable=False),  # number of the password; a better hash keeps it
    Column("disabled", Boolean, nullable=False, default=False),
    Column("source", Text, nullable=False, index=True),
    Column("created", Double, nullable=False),
    # Otherwise SQLite would give the id of a removed account, which an open connection may still have, to a new one.
    sqlite_autoincrement=True,
)
skeletons = Table(
    "skeletons",  # unique, so that no two account names look alike
    TABLES,
    Column("skeleton", Text, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
)
logins = Table(
    "logins",  # the addresses from which the owner of an account has logged in
    TABLES,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True),
    # The IPv4 address, or the IPv6 network in which a host may change its address. Empty after a change of password.
    Column("source", Text, nullable=False),
    Column("last", Double, nullable=False),
    Index("logins_by_address", "address", "last"),
)
sessions = Table(
    "sessions",  # a session outlives its tokens: a renewal replaces the hash
    TABLES,
    Column("id", _NUMBER, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("token_issued", Double, nullable=False),
    Column("previous_hash", LargeBinary, unique=True),
    Column("previous_until", Double),
    Column("created", Double, nullable=False),
    Column("last_used", Double, nullable=False),
    sqlite_autoincrement=True,
)
revocations = Table(
    "revocations",  # ends of one session or, without a session_id, of all sessions of an account at that time
    TABLES,
    Column("number", _NUMBER, primary_key=True),  # higher than all earlier ones, even if those are deleted
    Column("account_id", _NUMBER, nullable=False),  # no foreign key: the account may be removed
    Column("session_id", _NUMBER),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)
failures = Table(
    "failures",  # consecutive wrong passwords; the source is empty for all unfamiliar sources together
    TABLES,
    Column("canonical", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("guesses", Integer, nullable=False),
    Column("locked_until", Double, nullable=False),  # infinite after too many
    Column("last", Double, nullable=False),  # time of the last guess, checked or not
)
mode_steps = Table(
    "mode_steps",  # how many steps of a mode's own tables are done; see Store.migrate
    TABLES,
    Column("mode", Text, primary_key=True),
    Column("done", Integer, nullable=False),
)
bus_entries = Table(
    "bus_entries",  # what the servers say to each other: the last of it; see server/bus/rows.py
    TABLES,
    Column("number", _NUMBER, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),  # PostgreSQL's texts hold no NUL
    sqlite_autoincrement=True,
)
bus_processes = Table(
    "bus_processes",  # who is on the bus, and the time of the last sign of life
    TABLES,
    Column("origin", Text, primary_key=True),
    Column("seen", Double, nullable=False),
)
servers = Table(
    "servers",  # the servers that run on this store, and the certificate that each of them shows
    TABLES,
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("seen", Double, nullable=False),  # time of its start or reload
)
