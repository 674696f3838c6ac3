"""Tables and pictures for readers: the only place where numbers are rounded."""
