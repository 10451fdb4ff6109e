"""GP-NeRF: generalised novel-view colour, depth and semantics from posed photos."""
