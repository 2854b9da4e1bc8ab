"""What a solution and a suite look like in a language, in the generator's words.

As `images/<language>` judges them. Where a language is not named, the shape of Python's serves:
bare assertions behind the solution.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Parts of sentences. solution: what its code block keeps to. suite: how it asserts, and where."""

    solution: str
    suite: str


_BEHIND = "placed behind the student's code in the same file"

SHAPES = {
    "cpp": Shape(
        "It has no `main` function.",
        "a function `int main()` that holds nothing but `assert(...)` statements, after "
        f"`#include <cassert>`. It is {_BEHIND}",
    ),
    "go": Shape(
        "It begins with `package main` and has no `main` function.",
        "one or more functions `func Test...(t *testing.T)` that call `t.Errorf` wherever a result "
        "is wrong, without a package clause. They are a file beside the student's in the same "
        "package",
    ),
    "java": Shape(
        "It is one class `Solution` that is not public, in no package.",
        "a class `Main` whose method `main` throws `new AssertionError()` wherever a result is "
        "wrong. It is a file beside the student's in the same package",
    ),
    "javascript": Shape(
        "It exports nothing.",
        f"`console.assert(...)` statements, one for each result. They are {_BEHIND}",
    ),
    "lua": Shape(
        "It defines global functions and returns nothing.",
        f"`assert(...)` statements, one for each result. They are {_BEHIND}",
    ),
    "ruby": Shape(
        "It requires no test framework.",
        f"`raise unless ...` statements, one for each result. They are {_BEHIND}",
    ),
    "rust": Shape(
        "It has no `main` function.",
        "a module `#[cfg(test)] mod tests` that begins with `use super::*;` and whose `#[test]` "
        f"functions hold `assert_eq!` and `assert!`. It is {_BEHIND}",
    ),
    "typescript": Shape(
        "It exports nothing.",
        "`assert.strictEqual` and `assert.deepStrictEqual` statements behind "
        f"`import * as assert from 'node:assert';`. They are {_BEHIND}",
    ),
}
