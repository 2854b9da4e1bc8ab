"""From instructions to a labelled preference dataset: the `plum` command and its library."""
