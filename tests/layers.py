"""The packages' order and the arrows between them, counted from the imports: `python -m tests.layers`."""

import ast
import collections
import pathlib
from collections.abc import Iterable, Iterator, Mapping

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "pulse_jax"

# From the ground up. A package imports from those before it, on its own level too.
LEVELS = [
    ["system", "manifold"],
    ["images", "optimizers", "generators"],
    ["objectives"],
    ["search"],
    ["engine"],
    ["reports"],
    ["runs"],
    ["web", "distributed"],
    ["cli"],
]
PACKAGES = [package for level in LEVELS for package in level]


def imports(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    """The dotted names that a file imports anywhere, each with its line; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: write the import absolutely, from pulse_jax"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def upward(package: str, path: pathlib.Path) -> Iterator[str]:
    """Imports in a file of a package that lead to none below it; only commands may use the converters."""
    below = PACKAGES[: PACKAGES.index(package) + 1]
    for name, line in imports(path):
        top, *rest = name.split(".")
        strange = (top == "pulse_jax" and (not rest or rest[0] not in below)) or (top == "convert" and package != "cli")
        if strange:
            yield f"{path.name}:{line}: {package} imports {name}, which is not below it"


def modules() -> list[str]:
    """The dotted names of all modules of `pulse_jax` but the face."""
    paths = sorted(path.relative_to(ROOT).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if name != "pulse_jax"]


def arrows(known: Iterable[str]) -> set[tuple[str, str]]:
    """Which module imports which other one, type checking included."""
    known = set(known)
    found = set()
    for module in known:
        base = ROOT.joinpath(*module.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        for name, _ in imports(path):
            target = next((part for part in (name, name.rpartition(".")[0]) if part in known), None)
            if target not in (None, module):
                found.add((module, target))
    return found


def levels(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """How many arrows lie below each node at most, counted from 1; raises `ValueError` for a circle."""
    below = collections.defaultdict(set)
    for start, end in edges:
        below[start].add(end)
    known: dict[str, int] = {}

    def level(node: str, way: tuple[str, ...]) -> int:
        if node in way:
            raise ValueError(f"a circle: {' -> '.join((*way[way.index(node) :], node))}")
        if node not in known:
            known[node] = 1 + max((level(other, (*way, node)) for other in below[node]), default=0)
        return known[node]

    return {node: level(node, ()) for node in nodes}


def _report() -> None:
    """Print what stands in the layers: modules, packages, levels and arrows."""
    every = modules()
    edges = arrows(every)
    files = [name for name in every if not (ROOT.joinpath(*name.split("."))).is_dir()]
    between = {(a.split(".")[1], b.split(".")[1]) for a, b in edges}
    between = {(a, b) for a, b in between if a != b}
    height = levels(PACKAGES, between)
    print(f"{len(files)} modules on {max(levels(every, edges).values())} levels, {len(edges)} arrows")
    print(f"{len(PACKAGES)} packages on {max(height.values())} levels, {len(between)} arrows between them")
    for package in reversed(PACKAGES):
        print(f"  {height[package]}  {package:11} -> {', '.join(sorted(b for a, b in between if a == package))}")


if __name__ == "__main__":
    _report()
