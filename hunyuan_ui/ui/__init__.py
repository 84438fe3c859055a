"""The page and the API: a view of the runner."""
