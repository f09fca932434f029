"""What everything else builds on: networks and readouts, images, checks, memory, progress."""
