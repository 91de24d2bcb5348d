"""Files that are generated and committed: the compiled pipelines, and the table of parameters in README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from pipelines import site
from pipelines.parameters import PARAMETERS, Parameter

_BEGIN, _END = "<!-- generated: python -m pipelines parameters --markdown -->", "<!-- end of generated -->"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HEAD = ("NAME", "DEFAULT", "SET BY", "REQUIRED", "DESCRIPTION")


def parameters_table(markdown: bool) -> str:
    """The table of parameters, as columns for a terminal or as Markdown."""
    return table([_HEAD, *(_cells(row) for row in PARAMETERS.values())], markdown)


def table(rows: Sequence[Sequence[str]], markdown: bool) -> str:
    """Rows below a head, the first one, as columns for a terminal or as Markdown."""
    if markdown:
        escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (escaped[0], ["---"] * len(rows[0]), *escaped[1:]))
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows)


def _cells(row: Parameter) -> tuple[str, ...]:
    default = "(none)" if row.default is None else row.default or "(empty)"
    return row.name, default, row.set_by, "yes" if row.required else "no", row.description


def with_table(readme: str) -> str:
    """README with the table of parameters as it is now."""
    before, rest = readme.split(_BEGIN)
    return f"{before}{_BEGIN}\n{parameters_table(markdown=True)}\n{rest[rest.index(_END) :]}"


def contents(checkout: Path) -> dict[Path, str]:
    """Every generated file and what it should hold."""
    from pipelines import build, train
    from pipelines.build import writer

    readme, kustomize = checkout / "README.md", checkout / "kustomize"
    templates = {f"{name}.yaml": build.compile_named(name, "WorkflowTemplate") for name in build.registry()}
    compiled = {f"base/{name}": text for name, text in templates.items()} | {"single-node/pod.yaml": build.pod_yaml(train.training_pod())}
    manifests = [yaml.load(text, Loader=_LOADER) for text in compiled.values()]  # noqa: S506 (a safe loader, in C where there is one)
    installed = compiled | site.files(list(templates), manifests, writer.to_yaml)
    return {kustomize / path: text for path, text in installed.items()} | {readme: with_table(readme.read_text())}


def stale_files(checkout: Path) -> dict[Path, str]:
    """The generated files whose content is not what it should be, with what it should be."""
    return {path: text for path, text in contents(checkout).items() if not path.is_file() or path.read_text() != text}
