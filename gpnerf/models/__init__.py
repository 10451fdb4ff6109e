"""Networks and the ray renderer; they take numbers and ready modules, never a config."""
