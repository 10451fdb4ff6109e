"""Compares configurations: each trained and evaluated from several seeds, in processes of their own, in one table."""
