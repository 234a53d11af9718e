"""The log in SQLite: its files, its schema, its rows."""
