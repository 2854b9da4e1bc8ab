"""Numbers on command lines."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number within inclusive bounds; nan, which no bound keeps out, is none."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("nan is not a number", param, ctx)
        return number
