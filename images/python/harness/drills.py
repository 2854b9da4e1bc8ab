"""Asks a candidate's objects about decoys as it does about the real value, and keeps the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from . import chance
from .channel import PinnedChannel
from .doubts import Contrary, Deferred, Question, Real, Said, Suspicions
from .handles import (
    ClassHandle,
    ExceptionHandle,
    Handle,
    is_handle,
    payload_of,
    set_shadows,
    shadows_of,
)
from .peer import Peer


class DrillingPeer(Peer):
    """Asks like any peer. A lie ends the run through `tampered`."""

    def __init__(
        self,
        channel: PinnedChannel,
        tampered: Callable[[str], NoReturn],
        at_line: Callable[[], str],
    ) -> None:
        super().__init__(channel, first_container=0)
        self._tampered = tampered
        self._at_line = at_line
        self.suspicions = Suspicions()
        #: Whether the candidate is asked about a decoy; what it prints then is nobody's.
        self.asks_decoy = False

    def truth(self, owner: Any) -> bool:
        """As the base class; what a comparison gave is weighed now."""
        deferred = noted(owner)
        return self._settle(deferred) if type(deferred) is Deferred else super().truth(owner)

    def _ask(self, owner: Any, name: str, *args: Any) -> Any:
        answer = super().special(owner, name, args, {})
        # Whether a class or an exception is true, it may say differently each time.
        return bool(answer) if isinstance(answer, ClassHandle | ExceptionHandle) else answer

    def _quiet(self, owner: Any, name: str, *args: Any) -> Any:
        """What a decoy gives; an exception counts as an answer of its own."""
        if is_handle(owner):
            return self._drill(self._ask, owner, name, *args)
        return self._drill(lambda: getattr(type(owner), name)(owner, *args))

    def _drill(self, ask: Callable[..., Any], *args: Any) -> Any:
        before, self.asks_decoy = self.asks_decoy, True
        try:
            return ask(*args)
        except Exception:
            return None
        finally:
            self.asks_decoy = before

    def _asked(
        self, owner: Any, name: str, real: Any, others: list[Any], over: bool
    ) -> tuple[Any, list[Said]]:
        """The answer about `real`, and, in their order, all answers.

        None of these where it is NotImplemented, or plainly `over`, the truth that is not doubted.
        """
        answer, answers = None, []
        for value in chance.shuffled([Real(real), *others]):
            if type(value) is Real:
                says = answer = self._ask(owner, name, real)
                if answer is NotImplemented or self._is_settled(answer, over):
                    return answer, []
            elif type(value) is Contrary:
                says = self._quiet(owner, value.name, real)
            else:
                says = self._quiet(owner, name, value)
            answers.append((value, says))
        return answer, answers

    def _conclude(self, answers: list[Said], weigh: Callable[[bool, list[Said]], None]) -> Any:
        """The real answer. Where it may say of itself whether it is true, that is asked for, and
        weighed, when the suite does."""
        real = next(answer for value, answer in answers if type(value) is Real)
        deferred = Deferred(answers, weigh)
        if self._is_plain(real):
            self._settle(deferred)
        else:
            set_shadows(real, deferred)
        return real

    def _settle(self, deferred: Deferred) -> bool:
        """Whether the real answer is true. Each is asked once, and none stands out."""
        if deferred.truth is None:
            said = []
            for value, answer in deferred.answers:
                if type(value) is Real:
                    deferred.truth = self._truth(answer)
                else:
                    said.append((value, self._says(answer)))
            assert deferred.truth is not None
            deferred.weigh(deferred.truth, said)
        return bool(deferred.truth)

    def _is_settled(self, answer: Any, truth: bool) -> bool:
        return self._is_plain(answer) and self._truth(answer) is truth

    def _is_plain(self, answer: Any) -> bool:
        """Whether it cannot be true when it is asked once, and false when it is asked again."""
        if not issubclass(type(answer), Handle):
            return True
        info = type(answer)._plum_info
        return info.payload is not None and "__bool__" in info.methods - info.own

    def _truth(self, value: Any) -> bool:
        """As `bool`, but always asked for."""
        if not issubclass(type(value), Handle):
            return bool(value)
        info = type(value)._plum_info
        if "__bool__" not in info.methods:
            return super().truth(value)
        if info.payload is not None and "__bool__" not in info.own:
            return bool(payload_of(value))
        said = self._ask(value, "__bool__")
        if type(said) is not bool:
            raise TypeError(f"__bool__ should return bool, returned {type(said).__name__}")
        return said

    def _says(self, value: Any) -> bool | None:
        if value is None or value is NotImplemented:
            return None
        try:
            return self._truth(value)
        except Exception:
            return None

    def _show(self, value: Any) -> str:
        return "the value of the candidate's own" if is_handle(value) else f"{value!r:.60}"

    def _lie(self, owner: Any, what: str) -> NoReturn:
        self._tampered(_of(owner, what))

    def _suspect(self, owner: Any, question: Question, what: str) -> None:
        self.suspicions.note(question, _of(owner, what) + self._at_line())


def _of(owner: Any, what: str) -> str:
    return f"an object of the candidate's class {type(owner).__name__!r} {what}"


def noted(owner: Any) -> Any:
    return shadows_of(owner) if issubclass(type(owner), Handle) else None
