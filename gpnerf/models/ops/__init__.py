"""Fast paths, each beside the plain version that defines its meaning."""
