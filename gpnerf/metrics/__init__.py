"""Scores of rendered views; pure functions and summable states."""
