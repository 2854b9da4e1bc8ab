"""One folder per language: how its programs are built, run, judged and checked, as data."""
