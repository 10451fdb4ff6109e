"""Pictures of what was rendered: colourings, panels, and the PNG files of an evaluation."""
