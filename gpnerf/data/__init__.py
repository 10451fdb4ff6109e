"""Scenes on disk, label maps, view selection and the examples built from them."""
