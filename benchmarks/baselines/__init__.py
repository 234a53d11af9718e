"""Small servers to compare with; each is a program whose argument is the port."""
