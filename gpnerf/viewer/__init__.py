"""Flying through a scene in a browser: coarse pictures while the camera moves, finer ones when it rests."""
