"""The whole method on problems of our own, small enough for two cores and ten minutes."""
