"""Tables for what the servers that share a store say to each other."""

import sqlalchemy as sql
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.create_table(
        "bus_entries",
        sql.Column("number", sql.BigInteger().with_variant(sql.Integer, "sqlite"), primary_key=True),
        sql.Column("origin", sql.Text, nullable=False),
        sql.Column("topic", sql.Text, nullable=False),
        sql.Column("text", sql.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bus_processes",
        sql.Column("origin", sql.Text, primary_key=True),
        sql.Column("seen", sql.Double, nullable=False),
    )
