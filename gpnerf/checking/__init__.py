"""Looks for mistakes in a scene's files: what is there, what is in it, and whether poses and pictures fit together."""
