from __future__ import annotations

import json

import pytest

from sandbox_server.worker import seccomp

RULES = json.loads(seccomp.RULES.read_text(encoding="utf-8"))["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["reason"])[:40])
def test_every_rule_has_a_reason_and_says_allow_or_deny(rule: dict[str, object]) -> None:
    assert len(str(rule["reason"])) > 10
    assert ("allow" in rule) != ("deny" in rule)
    assert ("errno" in rule) == ("deny" in rule)


def test_no_call_is_allowed_twice_without_a_condition() -> None:
    names = [n for rule in RULES if "when" not in rule for n in rule.get("allow", ())]
    assert len(names) == len(set(names))


DANGEROUS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "bpf"),
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_by_handle_at"),
    *("keyctl", "add_key", "request_key", "perf_event_open", "io_uring_enter", "shmget"),
    *("semget", "msgget", "mq_open", "init_module", "kexec_load", "reboot", "syslog"),
    *("ioprio_set", "sched_setscheduler", "sched_setattr", "acct", "swapon", "quotactl"),
    *("process_madvise", "move_pages", "mbind", "modify_ldt", "iopl", "ioperm"),
)


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_calls_are_not_on_the_list(name: str) -> None:
    listed = [rule for rule in RULES if name in rule.get("allow", ())]
    assert [rule for rule in listed if rule.get("group") != seccomp.FIRST] == []


def test_programs_can_be_started_only_by_languages_that_ask_for_it() -> None:
    groups = [rule.get("group") for rule in RULES if "execve" in rule.get("allow", ())]
    assert groups == ["exec"]


def _ways_to(rules: list[dict[str, object]]) -> set[tuple[str, str]]:
    return {(n, json.dumps(r.get("when", ()))) for r in rules for n in r.get("allow", ())}  # type: ignore[attr-defined]


def test_what_the_first_process_may_beside_its_roles_is_nothing_that_they_may() -> None:
    first = [rule for rule in RULES if rule.get("group") == seccomp.FIRST]
    others = [rule for rule in RULES if rule.get("group") != seccomp.FIRST]
    assert not _ways_to(first) & _ways_to(others)
    # A call that both may in part must be told apart by the same argument, compared whole.
    for name in {n for n, _ in _ways_to(first)} & {n for n, _ in _ways_to(others)}:
        for rule in (rule for rule in RULES if name in rule.get("allow", ())):
            assert [sorted(condition) for condition in rule["when"]] == [["argument", "equals"]]
            assert rule["when"][0]["argument"] == 0


def test_the_list_compiles_and_a_group_adds_to_it() -> None:
    plain, more = seccomp.compile_filters(), seccomp.compile_filters(["exec"])
    assert len(plain.first) % 8 == 0
    assert len(more.first) > len(plain.first)
    assert plain.role == more.role
    assert len(plain.role) < len(plain.first) / 5
