"""Videos of a scene along a camera path, without any truth: frames first, then the film."""
