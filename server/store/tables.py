"""The tables of the database: all that is kept, and the constraints that hold whoever writes it.

Times are seconds since 1970, by the store's own clock. What the rows mean is the rule books' business.
"""

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text

TABLES = MetaData()

addresses = Table(
    "addresses",  # identify: who calls from where
    TABLES,
    Column("address", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("created", Double, nullable=False),
)
accounts = Table(
    "accounts",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),  # as first typed
    Column("canonical", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("password_version", Integer, nullable=False),  # counts the passwords; a better hash of one is not another
    Column("disabled", Boolean, nullable=False, default=False),
    Column("source", Text, nullable=False, index=True),
    Column("created", Double, nullable=False),
    # SQLite would give the number of a removed account to the next one, which an open connection may still bear.
    sqlite_autoincrement=True,
)
skeletons = Table(
    "skeletons",  # what account names look like: unique, so that no two look alike
    TABLES,
    Column("skeleton", Text, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
)
logins = Table(
    "logins",  # where the owner of an account has logged in, and when last
    TABLES,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True),
    # The address, or the IPv6 network within which a host may roam; empty when the password has been changed since.
    Column("source", Text, nullable=False),
    Column("last", Double, nullable=False),
    Index("logins_by_address", "address", "last"),
)
sessions = Table(
    "sessions",  # a session outlives its tokens: a renewal replaces the hash
    TABLES,
    Column("id", Integer, primary_key=True),
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
    "revocations",  # what was ended on purpose: one session, or (without its number) all that an account then had
    TABLES,
    Column("number", Integer, primary_key=True),  # higher than all before, also when those are deleted
    Column("account_id", Integer, nullable=False),  # of an account that may be no more
    Column("session_id", Integer),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)
failures = Table(
    "failures",  # consecutive wrong passwords; source is empty for the counter of all unfamiliar ones
    TABLES,
    Column("canonical", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("guesses", Integer, nullable=False),
    Column("locked_until", Double, nullable=False),  # infinite after too many
    Column("last", Double, nullable=False),  # when somebody last tried, whether or not it was looked at
)
