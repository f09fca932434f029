"""What everything rests on: networks and readouts, images, checks, memory, progress."""
