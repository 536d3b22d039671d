"""What any part may use and what knows nothing of nginx."""
