"""A stand-in for the hosted service: the same HTTP contract, and real videos drawn on this machine."""
