"""Progress of long work, on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import TextIO, TypeVar

T = TypeVar("T")

#: Seconds between two plain lines.
_PLAIN_EVERY_S = 5.0
#: Seconds between two reports to whoever else wants to know.
_REPORT_EVERY_S = 1.0

#: Told the units that are finished.
Report = Callable[[int], None]


class Progress:
    """Counts units of one piece of work. A context manager; `advance` it as units finish.

    total: how many units there will be, or None where that is not known.
    unit: the name of one unit in the plural, for example "executions".
    done: units that an earlier run has finished; they do not count for the rate.
    report: called at the beginning, once a second or less often, and at the end.
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        unit: str,
        *,
        done: int = 0,
        stream: TextIO | None = None,
        report: Report | None = None,
    ) -> None:
        self._report = report
        self._description = description
        self._unit = unit
        self._total = total
        self._done = self._first = done
        self._stream = stream if stream is not None else sys.stderr
        self._began = self._spoke = self._reported = time.monotonic()
        self._bar = None
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=done,
                desc=description,
                unit=f" {unit}",
                file=self._stream,
                dynamic_ncols=True,
            )

    def __enter__(self) -> Progress:
        if self._report is not None:
            self._report(self._done)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._report is not None and kind is None:
            self._report(self._done)
        if self._bar is not None:
            self._bar.close()
        elif self._done > self._first:
            self._say("done" if kind is None else "stopped")

    def advance(self, units: int = 1) -> None:
        """Notes that `units` more are finished."""
        self._done += units
        if self._report is not None and time.monotonic() - self._reported >= _REPORT_EVERY_S:
            self._reported = time.monotonic()
            self._report(self._done)
        if self._bar is not None:
            self._bar.update(units)
        elif time.monotonic() - self._spoke >= _PLAIN_EVERY_S:
            self._say("")

    def _say(self, ending: str) -> None:
        now = time.monotonic()
        self._spoke = now
        of = "" if self._total is None else f"/{self._total}"
        rate = (self._done - self._first) / max(now - self._began, 1e-9)
        line = f"{self._description}: {self._done}{of} {self._unit}, {rate:.1f}/s"
        print(f"{line}, {ending}" if ending else line, file=self._stream, flush=True)


def progress(
    items: Iterable[T], description: str, unit: str, *, total: int | None = None
) -> Iterator[T]:
    """Passes `items` on, lazily, and shows how many have been asked for and finished."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(total, description, unit) as bar:
        for item in items:
            yield item
            bar.advance()
