"""Links a small JDK with the judge in it, and archives the classes that its programs load.

A JDK of our own for three reasons: it is without the modules that lead to a
JVM's memory (jdk.unsupported with Unsafe, java.management with heap dumps); an
archive of classes that all come from it stays valid wherever it is moved; and
it starts faster.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from .files import sources

_RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
_MODULES = "plum.judge,plum.compile"
_EXPORTS = ("--add-exports", "java.base/jdk.internal.reflect=plum.judge")
_COMPILE = ("-m", "plum.compile/plum.compile.Compile")
# As in the commands of language.toml: an archive serves the same modules only.
_JUDGE = (
    *("--add-opens", "java.base/java.io=plum.judge"),
    *_EXPORTS,
    *("-m", "plum.judge/plum.judge.Judge"),
)
_TOKEN_BYTES = 32
#: Sums of strings without a bootstrap of each when the program starts.
_INLINE = "-XDstringConcat=inline"
#: For tools that run once: to compile their own hot code takes them longer than it saves.
_ONCE = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
# What they load is in the archives: usual imports, collections, streams, an error in the suite.
_EXAMPLE_SOLUTION = """
import java.util.*;
import java.util.stream.Collectors;
class Solution {
    private final Map<String, Integer> counts = new HashMap<>();
    public List<Integer> sorted(List<Integer> numbers) {
        for (int number : numbers) counts.merge("n" + number, 1, Integer::sum);
        Set<Integer> seen = new TreeSet<>(numbers);
        StringBuilder text = new StringBuilder();
        for (char c : String.format("%d %.2f", seen.size(), Math.sqrt(2)).toCharArray()) {
            text.append(Character.isDigit(c) ? c : ' ');
        }
        Deque<String> words = new ArrayDeque<>(Arrays.asList(text.toString().split(" ")));
        Optional<String> first = words.stream().filter(w -> !w.isEmpty()).findFirst();
        return first.isPresent() ? numbers.stream().sorted().collect(Collectors.toList()) : null;
    }
}
"""
_EXAMPLE_SUITE = """
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        List<Boolean> correct = Arrays.asList(
                s.sorted(new ArrayList<>(Arrays.asList(3, 1, 2))).equals(Arrays.asList(1, 2, 3)),
                Objects.equals(s.sorted(new LinkedList<>()), List.of()),
                Math.abs(0.5 - 1.0 / 2) < 1e-6);
        if (correct.contains(false)) {
            throw new AssertionError();
        }
        System.out.println("done");
        throw new AssertionError("as a wrong solution makes it");
    }
}
"""


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Makes `jdk/`, and an archive of classes for each of its two programs.

    Raises:
        OSError: a tool of the JDK does not do it.
    """
    target = Path(folder).absolute()
    java = str(target / "jdk" / "bin" / "java")
    with tempfile.TemporaryDirectory() as scratch:
        mods = f"{scratch}/mods"
        _run(
            [
                *(tools["javac"], *_ONCE, _INLINE, "--module-source-path", str(_RUNTIME)),
                *_EXPORTS,
                *("-d", mods, "-m", _MODULES),
            ]
        )
        _run(
            [
                *(tools["jlink"], *_ONCE, "--module-path", mods, "--add-modules", _MODULES),
                *("--output", str(target / "jdk"), "--no-header-files", "--no-man-pages"),
            ]
        )
        given = sources(_EXAMPLE_SOLUTION, _EXAMPLE_SUITE, folder)
        for name, text in given["files"].items():
            Path(scratch, name).write_text(text, encoding="utf-8")
        classes = [java, "-Xshare:off", f"-XX:DumpLoadedClassList={scratch}/classes.list"]
        _run([*classes, *_COMPILE], scratch)
        _archive(java, scratch, target / "compile.jsa", _COMPILE)
        _rehearse([*classes, *_JUDGE], scratch)
        _archive(java, scratch, target / "judge.jsa", _JUDGE)


def _archive(java: str, scratch: str, archive: Path, program: tuple[str, ...]) -> None:
    _run(
        [
            # Only this collector archives objects; any can load them.
            *(java, "-Xshare:dump", "-XX:+UseG1GC"),
            *(
                f"-XX:SharedClassListFile={scratch}/classes.list",
                f"-XX:SharedArchiveFile={archive}",
            ),
            *program,
        ]
    )


def _rehearse(command: list[str], folder: str) -> None:
    """Runs the judge on a suite that fails, with the descriptors that it expects."""
    report_in, report_out = os.pipe()
    token_in, token_out = os.pipe()
    os.write(token_out, b"0" * _TOKEN_BYTES)
    os.close(token_out)
    # A shell puts them in their places; this process may need its own 3 and 4. By their paths: a
    # plain shell knows no number above 9.
    shell = f'exec "$@" 3>/dev/fd/{report_out} 4</dev/fd/{token_in}'
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", shell, "sh", *command],
            pass_fds=[report_out, token_in],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(report_out)
        os.close(token_in)
    with open(report_in, encoding="ascii") as report:
        said = report.read()
    if '"event":"failed"' not in said:
        raise OSError(f"{command[0]}: {said[:200]} {done.stderr[:500]}")


def _run(command: list[str], folder: str | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {(done.stderr or done.stdout)[:500]}")
