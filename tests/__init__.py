"""The tests. ``fakes`` has what stands in for the disk, the network and the clock."""
