"""Looking at what was scored: models in pairs, slices, and single errors."""
