"""What test modules share: each module has one subject. No test module imports another."""
