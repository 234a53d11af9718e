"""An operator's commands: they ask the running server, over its socket beside the database."""
