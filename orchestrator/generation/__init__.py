"""Test generation: asks a strong model for reference solutions and suites."""
