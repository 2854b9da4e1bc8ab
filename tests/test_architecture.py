"""Who may import whom: the layering of the packages, read from their source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("plum", "sandbox_server", "orchestrator", "trainer", "images")
HEAVY = (
    "torch",
    "trl",
    "transformers",
    "vllm",
    "datasets",
    "peft",
    "accelerate",
    "pyarrow",
    "rensa",
)


def _imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of the modules that `path` imports, anywhere in it or when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _run_at_import(tree) if top_level_only else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def _run_at_import(tree: ast.Module) -> list[ast.AST]:
    found: list[ast.AST] = []
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        found.append(node)
        pending.extend(ast.iter_child_nodes(node))
    return found


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in OURS}


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _check(folder: str, allowed: tuple[str, ...], *, without: str | None = None) -> list[str]:
    wrong = []
    for path in _modules(folder):
        relative = path.relative_to(ROOT)
        if without is not None and str(relative).startswith(without):
            continue
        for name in _ours(_imports(path)):
            if not any(_within(name, package) for package in allowed):
                wrong.append(f"{relative} imports {name}")
    return wrong


def test_stubs_import_nothing_of_ours() -> None:
    assert _check("proto/gen", ("plum.sandbox.v1",)) == []


def test_the_sandbox_server_imports_the_stubs_and_itself_only() -> None:
    assert _check("sandbox_server", ("plum.sandbox.v1", "sandbox_server")) == []


def test_the_orchestrator_never_imports_the_sandbox_server_or_the_trainer() -> None:
    assert _check("orchestrator", ("plum.sandbox.v1", "orchestrator")) == []


def test_the_trainer_imports_stubs_orchestrator_and_itself_only() -> None:
    assert _check("trainer", ("plum.sandbox.v1", "orchestrator", "trainer")) == []


def test_language_folders_import_nothing_of_ours() -> None:
    assert _check("images", ()) == []


def test_stubs_are_used_by_one_module_of_the_orchestrator_and_the_edges_of_the_server() -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in ("orchestrator", "sandbox_server", "trainer")
        for path in _modules(folder)
        if any(_within(name, "plum") for name in _imports(path))
    }
    assert users == {
        "orchestrator/sandbox/convert.py",
        "sandbox_server/convert.py",
        "sandbox_server/service.py",
        "sandbox_server/stream.py",
    }


@pytest.mark.parametrize("folder", ["sandbox_server/worker", "images"])
def test_what_goes_into_an_image_needs_the_standard_library_only(folder: str) -> None:
    allowed = {*sys.stdlib_module_names, "sandbox_server", "mypy"}
    wrong = []
    for path in _modules(folder):
        for name in _imports(path):
            if name.split(".")[0] not in allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
            if _within(name, "sandbox_server") and not _within(name, "sandbox_server.worker"):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_heavy_libraries_are_imported_late_and_only_where_they_are_wrapped() -> None:
    allowed = {
        "orchestrator/sampling",
        "orchestrator/instructions/sources.py",
        "orchestrator/instructions/near_duplicates.py",
        "orchestrator/export",
        "trainer",
    }
    wrong = []
    for folder in ("orchestrator", "sandbox_server", "trainer"):
        for path in _modules(folder):
            relative = str(path.relative_to(ROOT))
            everywhere = {n for n in _imports(path) if n.split(".")[0] in HEAVY}
            if everywhere and not any(relative.startswith(a) for a in allowed):
                wrong.append(f"{relative} imports {sorted(everywhere)}")
            if folder != "trainer":
                at_import = _imports(path, top_level_only=True)
                heavy = {n for n in at_import if n.split(".")[0] in HEAVY}
                if heavy and relative not in {"orchestrator/sampling/transformers_sampler.py"}:
                    wrong.append(f"{relative} imports {sorted(heavy)} when it is imported")
    assert wrong == []


def test_the_folder_of_definitions_is_not_importable() -> None:
    # The package proto-plus owns the top-level name "proto".
    assert not (ROOT / "proto" / "__init__.py").exists()
