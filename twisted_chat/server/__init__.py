"""One server process: settings, logs, metrics, start and end."""
