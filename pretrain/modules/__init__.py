"""Building blocks that methods share: heads, EMA teacher, queue, communication between ranks."""
