"""Images become a backbone checkpoint."""
