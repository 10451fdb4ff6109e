"""How fast, how lean and how far from the machine's limits rendering and training are."""
