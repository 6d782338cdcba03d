"""A table that notes how far the tables of the modes are made."""

import sqlalchemy as sql
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.create_table(
        "mode_steps",
        sql.Column("mode", sql.Text, primary_key=True),
        sql.Column("done", sql.Integer, nullable=False),
    )
