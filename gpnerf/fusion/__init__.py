"""Geometry from many posed depth maps: a fused volume, its surface, and the votes of all views on every vertex."""
