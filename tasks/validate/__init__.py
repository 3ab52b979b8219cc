"""How good the measures themselves are: metrics against raters, judges against planted errors."""
