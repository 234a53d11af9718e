"""Small servers to compare with, each a program of its own that is given a port."""
