"""The stages of a run. Each does what is left of its work and nothing twice."""
