"""What Alembic runs for each migration: on the connection, and in the transaction, of server/store/versions.py."""

from alembic import context

from server.store.tables import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES)
with context.begin_transaction():
    context.run_migrations()
