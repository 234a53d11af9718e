"""What each program of ours needs of the shell that started it: its output, and hints."""
