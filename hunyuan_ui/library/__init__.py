"""Finished videos: the files, their posters and sidecars, and the conversions that a visitor may take."""
