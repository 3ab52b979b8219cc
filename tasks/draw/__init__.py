"""An ability that draws: its films, the classifier that judges them, their scores and page."""
