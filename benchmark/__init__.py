"""A checkpoint becomes a certified backbone, a measured record and a row of a table."""
