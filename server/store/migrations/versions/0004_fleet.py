"""Numbers of 64 bits, and a table of the servers on a store.

Servers of the version before go on working: they read and write the same values.
"""

import sqlalchemy as sql
from alembic import op

revision = "4"
down_revision = "3"

_NUMBERS = {
    "accounts": ["id"],
    "skeletons": ["account_id"],
    "logins": ["account_id"],
    "sessions": ["id", "account_id"],
    "revocations": ["number", "account_id", "session_id"],
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite's have 64 bits already
        for table, columns in _NUMBERS.items():
            for column in columns:
                op.alter_column(table, column, type_=sql.BigInteger)
        for sequence in ("accounts_id_seq", "sessions_id_seq", "revocations_number_seq"):
            op.execute(f"ALTER SEQUENCE {sequence} AS bigint")
    op.create_table(
        "servers",
        sql.Column("name", sql.Text, primary_key=True),
        sql.Column("fingerprint", sql.Text, nullable=False),
        sql.Column("seen", sql.Double, nullable=False),
    )
