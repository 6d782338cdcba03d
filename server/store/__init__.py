"""The store: the database, its tables and its transactions."""
