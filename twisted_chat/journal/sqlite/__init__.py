"""The log in SQLite: its files, its schema, its rows. It must not know queues or sessions."""
