"""The reading room: runs, scores, champions, cases, lineage and questions as pages of HTML."""
