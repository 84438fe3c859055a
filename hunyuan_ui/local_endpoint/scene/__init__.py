"""The procedural scene that the local endpoint draws; `render.frames` returns the frames of a request."""
