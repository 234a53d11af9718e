"""The one build step that ``setup.cfg`` cannot describe; everything else is there.

A wheel has the compiled catalogues (``.mo``), made of those that translators write (``.po``). A
checkout and an editable install need no step: they read the latter.
"""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from twisted_chat.i18n.compile import compiled  # noqa: E402

LOCALE = Path("twisted_chat", "i18n", "locale")


class BuildPy(build_py):
    """Copies the package, and compiles its catalogues."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        # What an older version left there would be installed, too.
        shutil.rmtree(Path(self.build_lib, "twisted_chat"), ignore_errors=True)
        super().run()
        for source in sorted((ROOT / LOCALE).rglob("*.po")):
            target = Path(self.build_lib, source.relative_to(ROOT)).with_suffix(".mo")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(compiled(source.read_text("utf-8")))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        catalogues = (path.relative_to(ROOT) for path in (ROOT / LOCALE).rglob("*.po"))
        made = [str(Path(self.build_lib, path).with_suffix(".mo")) for path in catalogues]
        return [*super().get_outputs(include_bytecode), *made]


setup(cmdclass={"build_py": BuildPy})
