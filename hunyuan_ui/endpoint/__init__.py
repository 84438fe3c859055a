"""The service backends: the HTTP contract, its clients, and the download of a finished file."""
