"""From paths to findings and explanations: the other parts put together."""
