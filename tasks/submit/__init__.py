"""Answers to RRG24's test sets in the files that its leaderboard takes."""
