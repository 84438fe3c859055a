"""The page and the API: views of the runner."""
