"""The template of a connector, copied by the commands that the documentation gives."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent.parent
DOCUMENT: Final = ROOT / "docs" / "providers" / "writing-a-connector.md"
IMPORT_COPIES: Final = """
import paidonce.providers, paidonce.proving.doubles
paidonce.providers.__path__.append("src/paidonce/providers")
paidonce.proving.doubles.__path__.append("src/paidonce/proving/doubles")
from paidonce.providers.acme import CONNECTOR
from paidonce.proving.doubles.acme.__main__ import main
assert callable(main)
print(CONNECTOR.open.__module__, CONNECTOR.display_name)
"""


def test_the_template_is_copied_by_the_documented_commands_and_its_copy_can_be_imported(tmp_path: Path) -> None:
    (commands,) = re.findall(
        r"((?:^    .*\n)+)", DOCUMENT.read_text().partition("## Copy the template")[2], re.MULTILINE
    )
    for folder in ("tests/connector_template", "tests/conformance/providers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("src/paidonce/providers", "src/paidonce/proving/doubles"):
        (tmp_path / folder).mkdir(parents=True)
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True)
    copies = [*(tmp_path / "src").rglob("*.py"), tmp_path / "tests/conformance/providers/acme_kit.py"]
    assert [str(copy) for copy in copies if "connector_template" in copy.read_text()] == []
    imported = subprocess.run(
        [sys.executable, "-c", IMPORT_COPIES], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert imported.stdout == "paidonce.providers.acme.connector Example Pay\n"
