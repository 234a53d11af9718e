"""The direction of the imports: each module imports only what stands above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "twisted_chat"

#: From the one that knows nothing to the one that puts everything together. A line may
#: import what stands above it. A name that ends with ".*" is a package whose modules may
#: import each other.
LAYERS = (
    "addresses",
    "language",
    "characters",
    "errors",
    "sqlite_faults",
    "output",
    "lookalikes",
    "names",
    "display",
    "flood",
    "limits",
    "sources",
    "identities",
    "messages",
    "ignoring",
    "registry",
    "journal",
    "journal.author",
    "journal.chain",
    "journal.search",
    "journal.runs",
    "journal.fair_queue",
    "journal.index",
    "journal.files",
    "journal.upgrade",
    "journal.people",
    "journal.guard",
    "journal.retention",
    "journal.reader",
    "journal.store",
    "journal.readers",
    "journal.writer",
    "kept",
    "unconfirmed",
    "presence",
    "room",
    "rooms",
    "chat",
    "session",
    "dialects",
    "dialects.commands",
    "dialects.jsonl",
    "dialects.text",
    "telnet",
    "lines",
    "first_bytes",
    "turns",
    "deadlines",
    "sockets",
    "watch",
    "outbox",
    "protocol",
    "log_writer",
    "logs",
    "audit",
    "settings",
    "notify",
    "proxied",
    "programs",
    "pages",
    "metrics",
    "service",
    "client.*",
    "testing",
    "archive.*",
    "bench.*",
    "cli",
    "ending",
    "daemon",
    "tap",
)

#: These know nothing of one another nor of anything of ours.
STAND_FREE = (
    "programs",
    "pages",
    "addresses",
    "log_writer",
    "ending",
    "language",
    "characters",
    "identities",
    "journal.author",
    "journal.chain",
    "journal.search",
    "journal.runs",
    "journal.fair_queue",
    "telnet",
    "lines",
    "flood",
    "turns",
    "deadlines",
    "sockets",
)

#: Domain modules: neither the network nor the disk.
DOMAIN = (
    "addresses",
    "language",
    "characters",
    "errors",
    "lookalikes",
    "names",
    "display",
    "limits",
    "sources",
    "identities",
    "messages",
    "ignoring",
    "registry",
    "journal",
    "journal.author",
    "journal.chain",
    "journal.search",
    "journal.runs",
    "journal.fair_queue",
    "kept",
    "unconfirmed",
    "presence",
    "room",
    "rooms",
    "chat",
    "session",
    "dialects",
    "dialects.commands",
    "dialects.jsonl",
    "dialects.text",
    "telnet",
    "lines",
    "first_bytes",
    "flood",
)
NOT_FOR_DOMAIN = ("twisted", "sqlite3", "zope", "socket", "select", "asyncio", "ssl", "fcntl")


def module_files() -> dict[str, Path]:
    """Every module of the package by its name below it; the package itself is ``""``."""
    files = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = module_files()


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


def layer(module: str) -> str | None:
    """The line of :data:`LAYERS` that ``module`` is in."""
    for line in LAYERS:
        package = line.removesuffix(".*")
        if module == package or (line != package and module.startswith(f"{package}.")):
            return line
    return None


def wrong_way(module: str, names: set[str]) -> set[str]:
    """The modules among ``names`` that ``module`` must not import, as they stand below it."""
    own = layer(module)
    assert own is not None
    place = LAYERS.index(own)
    above = LAYERS[: place + own.endswith(".*")]
    return {other for other in ours(names) if other != module and layer(other) not in above}


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


# -- the rules --------------------------------------------------------------------------------


def test_every_module_has_its_layer() -> None:
    assert {module for module in FILES if module and layer(module) is None} == set()
    assert {line.removesuffix(".*") for line in LAYERS} - FILES.keys() == set()


@pytest.mark.parametrize("module", [module for module in FILES if module])
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    assert wrong_way(module, imported_by(module)) == set()


def test_the_package_itself_imports_nothing() -> None:
    """Everybody who imports a module of it imports the package too."""
    assert imported_by("") == set()


@pytest.mark.parametrize("module", STAND_FREE)
def test_a_free_module_imports_nothing_of_ours(module: str) -> None:
    assert ours(imported_by(module)) == set()


@pytest.mark.parametrize("module", DOMAIN)
def test_the_domain_knows_neither_network_nor_disk(module: str) -> None:
    names = imported_by(module)
    assert {name for name in names if is_one_of(name, NOT_FOR_DOMAIN)} == set()
    assert ours(names) <= set(DOMAIN), "nor through another module"


def test_sqlite_is_known_to_what_keeps_something_alone() -> None:
    """The journal, its archive, what a client keeps, and what tells the faults of all three."""
    users = {module for module in FILES if "sqlite3" in imported_by(module)}
    keepers = ("journal.", "archive.", "client.state", "sqlite_faults")
    assert {module for module in users if not module.startswith(keepers)} == set()


def test_the_library_knows_no_terminal() -> None:
    """Who writes a bot need not have what a terminal needs."""
    terminal = {"config", "conversation", "plain", "run", "screen", "view", "window"}
    for module in ("client", "client.client", "client.protocol", "client.state", "client.wire"):
        known = {name.removeprefix("client.") for name in ours(imported_by(module))}
        assert known & terminal == set()


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


# -- the rules can fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "from twisted_chat.session import Session",
        "from twisted_chat import session",
        "import twisted_chat.session",
        "import twisted_chat.session as elsewhere",
        "from .session import Session",
        "from . import session",
        "def f():\n    from twisted_chat.session import Session",
        "if TYPE_CHECKING:\n    from twisted_chat.session import Session",
        "class C:\n    def f(self):\n        import twisted_chat.session",
        "try:\n    import json\nexcept ImportError:\n    import twisted_chat.session",
    ],
)
def test_an_arrow_the_wrong_way_is_found(source: str) -> None:
    found = set(imports(source, "twisted_chat.room"))
    assert wrong_way("room", found) == {"session"}
    assert wrong_way("protocol", found) == set()


def test_relative_imports_are_resolved() -> None:
    assert set(imports("from ..errors import X", "twisted_chat.journal.store")) == {
        "twisted_chat.errors",
        "twisted_chat.errors.X",
    }
    assert set(imports("from .store import X", "twisted_chat.journal", is_package=True)) == {
        "twisted_chat.journal.store",
        "twisted_chat.journal.store.X",
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
    assert not is_one_of("twisted_chat.errors", NOT_FOR_DOMAIN)
