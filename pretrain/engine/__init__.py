"""What both halves need of mmengine's Runner: keyed data, exact resume, precision and progress."""
