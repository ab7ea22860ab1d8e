"""The table of docs/configuration.md, made from ``Settings``; ``python -m tests.support.settings_table`` writes it."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from matcaps.service.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
COMMAND = "python -m tests.support.settings_table"
START = f"<!-- made from service/settings.py by `{COMMAND}` -->\n"
END = "<!-- end of the table -->\n"


def settings_table() -> str:
    """A row for each setting: variable, option, default and meaning."""
    lines = ["| variable | option | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        meaning = f"{', '.join(choices)}: {field.description}" if choices else field.description
        option = f"--{name.replace('_', '-')}"
        lines.append(f"| `MATCAPS_{name.upper()}` | `{option}` | {_default(field.default)} | {meaning} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with a new table between its two marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{settings_table()}\n{END}{after}"


def _default(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
