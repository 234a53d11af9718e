"""Programs for the development of twisted-chat; none of them is installed."""
