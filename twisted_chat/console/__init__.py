"""The shell that started one of our programs: output, and hints that can be copied into it."""
