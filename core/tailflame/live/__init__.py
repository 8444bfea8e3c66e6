"""Live sources, one file each: they look at a running program and yield what they see."""
