"""The tables of the first version, which commit 440432d made without a version number."""

import sqlalchemy as sql
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "addresses",
        sql.Column("address", sql.Text, primary_key=True),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("source", sql.Text, nullable=False, index=True),
        sql.Column("created", sql.Double, nullable=False),
    )
    op.create_table(
        "accounts",
        sql.Column("id", sql.Integer, primary_key=True),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("canonical", sql.Text, nullable=False, unique=True),
        sql.Column("password_hash", sql.Text, nullable=False),
        sql.Column("password_version", sql.Integer, nullable=False),
        sql.Column("disabled", sql.Boolean, nullable=False),
        sql.Column("source", sql.Text, nullable=False, index=True),
        sql.Column("created", sql.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "skeletons",
        sql.Column("skeleton", sql.Text, primary_key=True),
        sql.Column("account_id", sql.Integer, _of_account(), nullable=False, index=True),
    )
    op.create_table(
        "logins",
        sql.Column("account_id", sql.Integer, _of_account(), primary_key=True),
        sql.Column("address", sql.Text, primary_key=True),
        sql.Column("source", sql.Text, nullable=False),
        sql.Column("last", sql.Double, nullable=False),
        sql.Index("logins_by_address", "address", "last"),
    )
    op.create_table(
        "sessions",
        sql.Column("id", sql.Integer, primary_key=True),
        sql.Column("account_id", sql.Integer, _of_account(), nullable=False, index=True),
        sql.Column("token_hash", sql.LargeBinary, nullable=False, unique=True),
        sql.Column("token_issued", sql.Double, nullable=False),
        sql.Column("previous_hash", sql.LargeBinary, unique=True),
        sql.Column("previous_until", sql.Double),
        sql.Column("created", sql.Double, nullable=False),
        sql.Column("last_used", sql.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "revocations",
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column("account_id", sql.Integer, nullable=False),
        sql.Column("session_id", sql.Integer),
        sql.Column("created", sql.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "failures",
        sql.Column("canonical", sql.Text, primary_key=True),
        sql.Column("source", sql.Text, primary_key=True),
        sql.Column("guesses", sql.Integer, nullable=False),
        sql.Column("locked_until", sql.Double, nullable=False),
        sql.Column("last", sql.Double, nullable=False),
    )


def _of_account() -> sql.ForeignKey:
    return sql.ForeignKey("accounts.id", ondelete="CASCADE")
