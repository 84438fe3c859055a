"""The thin backend: the HTTP contract, the client that speaks it, and the fetch of a finished file."""
