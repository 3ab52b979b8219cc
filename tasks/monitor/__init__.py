"""What a run tells of itself: states, progress and events."""
