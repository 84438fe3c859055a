"""Local stand-in for the hosted service: the same HTTP contract, with videos rendered on this machine."""
