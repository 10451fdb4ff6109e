"""From published downloads to the folder layouts that the data sets are read in."""
