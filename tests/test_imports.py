"""The direction of the imports: each module imports only what stands above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PACKAGE = "twisted_chat"

#: A row of the table of modules.
ROW = re.compile(r"^``([\w/]+(?:\.py|/))``  ", re.MULTILINE)

#: These know nothing of one another nor of anything of ours, except the callback that does nothing.
STAND_FREE = (
    "i18n.compile",
    "core.author",
    "core.callbacks",
    "core.characters",
    "core.codes",
    "core.flood",
    "core.identities",
    "core.profile",
    "core.unicode_tables",
    "console.programs",
    "journal.chain",
    "journal.fair_queue",
    "journal.runs",
    "journal.search",
    "net.addresses",
    "dialects.lines",
    "net.echo",
    "net.pages",
    "net.scheduler",
    "net.sockets",
    "net.timeouts",
    "server.ending",
    "server.log_writer",
)

#: Domain modules know neither the network nor the disk: all of these folders, and a few others.
DOMAIN_FOLDERS = ("i18n", "core", "dialects")
PURE = (
    "journal.chain",
    "journal.fair_queue",
    "journal.runs",
    "journal.search",
    "net.echo",
    "net.incoming",
    "net.sniff",
    "net.telnet",
)
NOT_FOR_DOMAIN = ("twisted", "sqlite3", "zope", "socket", "select", "asyncio", "ssl", "fcntl")


def layers(document: str) -> list[str]:
    """The modules of the table of ``docs/architecture.rst``, from its top to its bottom.

    A folder is the package, which stands above its modules unless it has a row of its own.
    """
    paths = (match[1] for match in ROW.finditer(document))
    names = (path.removesuffix(".py").strip("/").replace("/", ".") for path in paths)
    rows = [name.removesuffix(".__init__") for name in names]
    return [name for at, name in enumerate(rows) if name not in rows[at + 1 :]]


def module_files() -> dict[str, Path]:
    """Every module of the package by its name below it; the package itself is ``""``."""
    files = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = module_files()
LAYERS = layers((ROOT / "docs/architecture.rst").read_text(encoding="utf-8"))
DOMAIN = [name for name in FILES if name.split(".")[0] in DOMAIN_FOLDERS] + list(PURE)


def imports(source: str, module: str = "", is_package: bool = False) -> Iterator[str]:
    """The absolute names that ``source`` imports, wherever in it: in functions, in
    ``if TYPE_CHECKING``. ``from a import b`` gives ``a`` and ``a.b``, as ``b`` may be a module.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join((*above, *((node.module,) if node.module else ())))
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imported_by(module: str) -> set[str]:
    path = FILES[module]
    name = f"{PACKAGE}.{module}" if module else PACKAGE
    return set(imports(path.read_text(encoding="utf-8"), name, path.name == "__init__.py"))


def ours(names: set[str]) -> set[str]:
    """Those of ``names`` that are modules of the package, by their names below it."""
    below = {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}
    return below & FILES.keys()


def wrong_way(module: str, names: set[str]) -> set[str]:
    """The modules among ``names`` that ``module`` must not import, as they stand below it.

    The packages that it is in are imported before it in any case.
    """
    above = LAYERS[: LAYERS.index(module)]
    within = f"{module}."
    return {o for o in ours(names) if o not in above and not within.startswith(f"{o}.")}


def is_one_of(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def at_module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of ``tree`` that run on import: not those within functions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from at_module_level(child)


def imports_reactor_early(source: str) -> bool:
    """Whether importing ``source`` imports the reactor, which installs the default one."""
    found: set[str] = set()
    for node in at_module_level(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(imports(ast.unparse(node)))
    return "twisted.internet.reactor" in found


def imported_tests(source: str, module: str) -> set[str]:
    """The test modules that ``source`` imports, also in a program that it has as a string."""
    names = {*imports(source, module), *re.findall(r"from (tests\.\w+) import", source)}
    return {name for name in names if re.fullmatch(r"tests\.(test_\w+|conftest)", name)}


# -- the rules --------------------------------------------------------------------------------


def test_the_table_has_every_module() -> None:
    assert set(FILES) - set(LAYERS) == {""}
    assert set(LAYERS) - FILES.keys() == set()


def test_the_modules_of_a_folder_stand_together() -> None:
    folders = [name.split(".")[0] for name in LAYERS]
    assert [folder for folder, _ in groupby(folders)] == list(dict.fromkeys(folders))


@pytest.mark.parametrize("module", [name for name in LAYERS if name in FILES])
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    assert wrong_way(module, imported_by(module)) == set()


def test_the_package_itself_imports_nothing() -> None:
    """Everybody who imports a module of it imports the package too."""
    assert imported_by("") == set()


@pytest.mark.parametrize("module", FILES)
def test_the_package_imports_nothing_that_is_not_installed(module: str) -> None:
    """Of the source checkout, only the package itself is installed."""
    names = imported_by(module)
    assert {name for name in names if is_one_of(name, ("benchmarks", "tests", "tools"))} == set()


@pytest.mark.parametrize("module", STAND_FREE)
def test_a_free_module_imports_nothing_of_ours(module: str) -> None:
    assert ours(imported_by(module)) <= {"core.callbacks", "core.codes"}


@pytest.mark.parametrize(
    ("module", "other"),
    [("i18n.language", "i18n.compile"), ("core.lookalikes", "core.unicode_tables")],
)
def test_a_module_imports_one_of_ours_alone(module: str, other: str) -> None:
    assert ours(imported_by(module)) == {other}


@pytest.mark.parametrize("module", DOMAIN)
def test_the_domain_knows_neither_network_nor_disk(module: str) -> None:
    names = imported_by(module)
    assert {name for name in names if is_one_of(name, NOT_FOR_DOMAIN)} == set()
    assert ours(names) <= set(DOMAIN), "nor through another module"


def test_sqlite_is_known_to_what_keeps_something_alone() -> None:
    """The journal, its archive, and what a client keeps."""
    users = {module for module in FILES if "sqlite3" in imported_by(module)}
    keepers = ("journal.", "archive.", "client.state_database")
    assert {module for module in users if not module.startswith(keepers)} == set()


@pytest.mark.parametrize("module", FILES)
def test_a_module_is_short_enough_to_read(module: str) -> None:
    lines = FILES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= (500 if module.startswith("core.") else 600)


@pytest.mark.parametrize("module", FILES)
def test_the_reactor_is_not_imported_early(module: str) -> None:
    assert not imports_reactor_early(FILES[module].read_text(encoding="utf-8"))


def test_the_drop_in_imports_next_to_nothing() -> None:
    """Every twistd run imports it."""
    source = (ROOT / "twisted/plugins/twisted_chat_plugin.py").read_text(encoding="utf-8")
    assert set(imports(source)) <= {
        "twisted.application.service",
        "twisted.application.service.ServiceMaker",
    }


def test_twisted_itself_is_not_hidden() -> None:
    """With one of these files, the checkout or the wheel would stand in for Twisted."""
    assert not (ROOT / "twisted/__init__.py").exists()
    assert not (ROOT / "twisted/plugins/__init__.py").exists()


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.stem)
def test_no_test_module_is_imported(path: Path) -> None:
    """What several of them use is in ``tests/support/``, where it is found by its subject."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert imported_tests(path.read_text(encoding="utf-8"), module) == set()


def test_what_is_no_test_module_is_in_support() -> None:
    others = {path.name for path in TESTS.glob("*.py") if not path.name.startswith("test_")}
    assert others == {"__init__.py", "conftest.py"}


# -- the rules can fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "from twisted_chat.core.session import Session",
        "from twisted_chat.core import session",
        "import twisted_chat.core.session",
        "import twisted_chat.core.session as elsewhere",
        "from .session import Session",
        "from . import session",
        "def f():\n    from twisted_chat.core.session import Session",
        "if TYPE_CHECKING:\n    from twisted_chat.core.session import Session",
        "class C:\n    def f(self):\n        import twisted_chat.core.session",
        "try:\n    import json\nexcept ImportError:\n    import twisted_chat.core.session",
    ],
)
def test_an_arrow_the_wrong_way_is_found(source: str) -> None:
    found = set(imports(source, "twisted_chat.core.room"))
    assert wrong_way("core.room", found) == {"core.session"}
    assert wrong_way("net.connection", found) == set()


def test_relative_imports_are_resolved() -> None:
    assert set(imports("from ..core.errors import X", "twisted_chat.journal.readers")) == {
        "twisted_chat.core.errors",
        "twisted_chat.core.errors.X",
    }
    assert set(imports("from .readers import X", "twisted_chat.journal", is_package=True)) == {
        "twisted_chat.journal.readers",
        "twisted_chat.journal.readers.X",
    }


@pytest.mark.parametrize(
    "source",
    [
        "from twisted.internet import reactor",
        "import twisted.internet.reactor",
        "from twisted.internet.reactor import callLater",
        "if x:\n    from twisted.internet import reactor",
        "class C:\n    from twisted.internet import reactor",
    ],
)
def test_an_early_reactor_is_found(source: str) -> None:
    assert imports_reactor_early(source)


def test_a_late_reactor_is_allowed() -> None:
    assert not imports_reactor_early("def f():\n    from twisted.internet import reactor")
    assert not imports_reactor_early("from twisted.internet import defer")


def test_the_domain_rule_tells_names_from_prefixes() -> None:
    assert is_one_of("twisted.internet", NOT_FOR_DOMAIN)
    assert is_one_of("sqlite3", NOT_FOR_DOMAIN)
    assert not is_one_of("twisted_chat.core.errors", NOT_FOR_DOMAIN)


@pytest.mark.parametrize(
    "source",
    [
        "from {} import draft",
        "import {}",
        "def f():\n    from {} import draft",
        "program = 'import sys; from {} import draft'",
    ],
)
def test_an_imported_test_module_is_found(source: str) -> None:
    assert imported_tests(source.format("tests.test_store"), "") == {"tests.test_store"}


@pytest.mark.parametrize("source", ["from .test_store import x", "from tests import test_store"])
def test_an_imported_test_module_is_found_by_its_absolute_name(source: str) -> None:
    assert imported_tests(source, "tests.test_writer") == {"tests.test_store"}
