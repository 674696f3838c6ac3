"""Losses as pure functions, one family a file; all compute in float32 at least."""
