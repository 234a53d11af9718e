"""The directive ``command-table``: the commands as the program's own table has them."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from twisted_chat.core.commands import TABLE, Command
from twisted_chat.i18n.language import LANGUAGES


class CommandTable(SphinxDirective):
    """A row for each command: how to type it in each language, and what it does."""

    def run(self) -> list[nodes.Node]:
        lines = [".. list-table::", "   :widths: 45 55", ""]
        for row in TABLE.typed:
            usages = [f"| ``{row.usage(language)}``" for language in LANGUAGES]
            lines.append(f"   * - {usages[0]}")
            lines.extend(f"       {usage}" for usage in usages[1:])
            lines.append(f"     - {row.help}{_other_names(row)}")
        return self.parse_text_to_nodes("\n".join(lines))


def _other_names(row: Command) -> str:
    others = [f"``/{name}``" for name in row.names[len(LANGUAGES) :]]
    return f" Also {', '.join(others)}." if others else ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-table", CommandTable)
    return {"parallel_read_safe": True}
