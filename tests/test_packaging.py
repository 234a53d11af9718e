"""What is installed: all of the package, and no more packages of others than are needed."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Server, environment, terminals

ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")

#: What a package is called where it is imported, unless as it is installed.
IMPORTED = {
    "argon2-cffi": {"argon2"},
    "pyopenssl": {"OpenSSL"},
    "prometheus-client": {"prometheus_client"},
    "precis-i18n": {"precis_i18n"},
    "service-identity": {"service_identity"},
    # zope.interface is Twisted's.
    "twisted": {"twisted", "zope"},
    "twisted[tls]": {"service_identity", "cryptography", "idna"},
}

#: Before Python code: two packages seem not to be installed.
WITHOUT_EXTRA = """
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec.__func__
def find_spec(cls, name, path=None, target=None):
    if name.partition(".")[0] in ("prompt_toolkit", "tomlkit"):
        return None
    return find(cls, name, path, target)
importlib.machinery.PathFinder.find_spec = classmethod(find_spec)
"""


def imported(requirements: str) -> set[str]:
    """The names under which the packages of a list in ``setup.cfg`` are imported."""
    found: set[str] = set()
    for line in requirements.split("\n"):
        name = re.split(r"[<>=;]", line)[0].strip().lower()
        if name and not name.startswith(("#", "%")):
            found |= IMPORTED.get(name, {name})
    return found


NEEDED = imported(SETUP["options"]["install_requires"])
EXTRAS = {name: imported(text) for name, text in SETUP["options.extras_require"].items()}


def third_party(tree: ast.AST) -> Iterator[str]:
    """The packages of others that a module imports, on top or later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("twisted_chat", "__future__"):
                yield top


def test_pyproject_names_the_build_system_only() -> None:
    """All else is in setup.cfg."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert list(tomllib.loads(text)) == ["build-system"]


def test_every_package_is_installed() -> None:
    listed = SETUP["options"]["packages"].split()
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "twisted_chat").rglob("__init__.py")
    }
    assert sorted(listed) == sorted(found | {"twisted.plugins"})


def test_every_package_that_is_imported_is_required() -> None:
    """By install_requires or by an extra; and each of those is used."""
    used = {
        name
        for path in (ROOT / "twisted_chat").rglob("*.py")
        for name in third_party(ast.parse(path.read_text("utf-8")))
    }
    required = NEEDED | EXTRAS["terminal"] | EXTRAS["metrics"] | EXTRAS["tls"]
    assert sorted(used - required) == []
    assert sorted(required - used) == []


def test_what_the_benchmark_imports_is_required() -> None:
    """By the server, by the tests, or by its own extra, all of which is used."""
    used = {
        name
        for path in (ROOT / "benchmarks").rglob("*.py")
        for name in third_party(ast.parse(path.read_text("utf-8")))
    } - {"benchmarks", "tests"}
    assert sorted(used - NEEDED - EXTRAS["bench"]) == []
    assert sorted(EXTRAS["bench"] - used) == []


def test_the_documentation_names_every_dependency() -> None:
    text = (ROOT / "docs/architecture.rst").read_text("utf-8").lower()
    extras = (SETUP["options.extras_require"][extra] for extra in ("terminal", "metrics"))
    for line in "\n".join((SETUP["options"]["install_requires"], *extras)).split():
        assert re.search(rf"(?m)^{re.escape(re.split('[<>=;]', line)[0])} ", text), line


def test_the_licences_that_are_named_are_there() -> None:
    files = SETUP["metadata"]["license_files"].split()
    assert SETUP["metadata"]["license_expression"] == "MIT AND Unicode-DFS-2016"
    heads = [(ROOT / file).read_text("utf-8") for file in files]
    assert "MIT License" in heads[0]
    assert "UNICODE, INC. LICENSE AGREEMENT" in heads[1]


@pytest.fixture
def python_path(tmp_path: Path) -> str:
    """One with which the packages of the extra ``terminal`` seem not to be installed."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_EXTRA)
    return f"{folder}:{ROOT}"


@pytest.mark.process
def test_a_server_and_scripts_need_no_extra(python_path: str) -> None:
    modules = (
        *("cli", "server.tap", "archive.commands", "client", "testing"),
        *("terminal.run", "terminal.scripts"),
    )
    code = "\n".join(f"import twisted_chat.{module}" for module in modules)
    code += "\nimport prompt_toolkit"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), "PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr.strip().endswith("No module named 'prompt_toolkit'"), result.stderr
    assert "twisted_chat" not in result.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("language", "hint", "question", "joined"),
    [
        ("en", "The prompt with completion needs more packages", "username:", "You are Ana now"),
        ("pt_BR", "precisam de mais pacotes", "usuário:", "Agora você é Ana"),
    ],
)
def test_a_client_without_the_extra_talks_and_says_how_to_install_it(
    tmp_path: Path, python_path: str, language: str, hint: str, question: str, joined: str
) -> None:
    """In plain lines; not at all to start would help nobody."""
    with Server(tmp_path) as server:
        command = ["env", f"PYTHONPATH={python_path}", sys.executable, "-m", "twisted_chat.cli"]
        command += ["connect", f"127.0.0.1:{server.port}"]
        with terminals(language, command) as (terminal,):
            terminal.wait_for(question)
            terminal.type("Ana")
            terminal.wait_for(joined)
            terminal.type("sair")
            assert terminal.wait_for_end() == 0
            lines = terminal.screen.split("\n")
    (told,) = [line for line in lines if "twisted-chat: " in line or "[terminal]" in line][:1]
    assert hint in "".join(lines)
    assert "pip install 'twisted-chat[terminal]'" in " ".join(terminal.screen.split())
    assert told.startswith("twisted-chat: ")
    assert "Traceback" not in terminal.screen
