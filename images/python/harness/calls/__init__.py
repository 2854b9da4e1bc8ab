"""Suites that are tables: calls with literal arguments, and what must hold of their results.

Most suites are nothing but ``assert f(1, [2]) == 3``. Such a suite needs no process to run
in: the supervisor asks the candidate's process for the results, one call after the other, and
compares plain data. The suite never enters the jail, and only one process is forked.

`table` reads a suite's text, `flat` carries results across, `answerer` is the candidate's
process and `asker` the supervisor's side. What does not fit (an object of the candidate's own
class, an exception that is not a builtin one) is left to the judge's process, from the start.
"""
