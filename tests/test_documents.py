"""What documents say works: links lead somewhere, commands parse, Python compiles, and the README stays short."""

import importlib.util
import os
import pathlib
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest
import tyro

from pulse_jax.cli import main
from pulse_jax.search import presets
from pulse_jax.search.presets import PRESETS
from tests.layers import PACKAGE, PACKAGES, ROOT

README = ROOT / "README.md"
DOCUMENTS = [
    README,
    *sorted(path for top in ("convert", "examples", "pulse_jax", "tests") for path in (ROOT / top).rglob("*.md")),
]
every = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
# Of other programs: what is said of them cannot be parsed here.
_STRANGERS = {"pip", "pyright", "ruff", "uv"}


def blocks(text, language):
    """The fenced blocks of a language in a Markdown document."""
    return [body for name, body in _FENCE.findall(text) if name == language]


def anchors(text):
    """What links to a document's headings may be called, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def dead_links(path):
    """Relative links of a document that lead to no file, or to no heading of one."""
    dead = []
    for link in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    return dead


def strange_names(text, folder):
    """Files `folder/file.py` and names `package.module.function` of `pulse_jax` in a document that do not exist."""
    strange = []
    for name in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text)):
        if re.fullmatch(r"[\w/]+/\w+\.py", name):
            if not any((top / name).is_file() for top in (folder, ROOT, PACKAGE)):
                strange.append(name)
        elif re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+", name):
            try:
                pkgutil.resolve_name(f"pulse_jax.{name}")
            except (ImportError, AttributeError):
                strange.append(name)
    return strange


def commands(text):
    """The commands of a shell text, as lists of words; comments are left out."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if set(word) <= set("&|;"):
                found += [words] if words else []
                words = []
            else:
                words.append(word)
    return found


class Parsed(Exception):
    """The program's options, before it does anything."""


@pytest.fixture
def parse(monkeypatch):
    """Parse the words of a command as its own program does; raises `SystemExit` or an error of usage."""
    real = tyro.extras.subcommand_cli_from_dict

    def stop(*arguments, **settings):
        options = real(*arguments, **settings)
        options.check()
        raise Parsed(options)

    monkeypatch.setattr(tyro.extras, "subcommand_cli_from_dict", stop)

    def parse(words):
        if words[0] == "pulse-jax":
            if words[2:] != ["--help"]:
                with pytest.raises(Parsed):
                    raise SystemExit(main(words[1:]))
        elif words[:2] == ["python", "-m"]:
            spec = importlib.util.find_spec(words[2])
            assert spec is not None, f"no module {words[2]}"
            # Others are not imported: a program without options may run at once.
            if words[2].startswith("examples.") and "class Options" in pathlib.Path(spec.origin or "").read_text():
                tyro.cli(importlib.import_module(words[2]).Options, args=words[3:])
        else:
            assert words[0] in _STRANGERS, f"what is {words[0]}?"

    return parse


def test_the_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 125 and not line.startswith("|")] == []


def test_the_readme_lists_every_preset():
    table = README.read_text(encoding="utf-8").partition("## Presets")[2].partition("## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    # Toys of other tests may be registered too.
    own = [name for name, preset in PRESETS.items() if preset.__module__ == presets.__name__]
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == own


@every
def test_links_lead_somewhere(path):
    assert dead_links(path) == []


def test_a_dead_link_is_found(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        "# The `a` of b\n[1](#the-a-of-b) [2](a.md#the-a-of-b) [3](b.md) [4](#another) [5](https://example.org/c.md)\n"
        "```md\n# Another\n[6](c.md)\n```\n[![7](d.png)](a.md)\n"
    )
    assert dead_links(path) == ["b.md", "#another", "d.png"]


@pytest.mark.parametrize("name", ["pulse_jax/ARCHITECTURE.md", "tests/README.md"])
def test_contributors_find_what_is_named(name):
    path = ROOT / name
    assert strange_names(path.read_text(encoding="utf-8"), path.parent) == []


def test_a_strange_name_is_found(tmp_path):
    text = (
        "`tests/layers.py` `b/nothing.py` `engine.stream.solve_stream` `engine.nothing` `search.step` `step.py` `a.b`"
    )
    assert strange_names(text, tmp_path) == ["b/nothing.py", "engine.nothing"]


@every
def test_commands_parse(path, parse):
    text = path.read_text(encoding="utf-8")
    inline = re.findall(r"`(python -m [^`]+)`", _FENCE.sub("", text))
    for block in [*blocks(text, "sh"), *inline]:
        for words in commands(block):
            parse(words)


@pytest.mark.parametrize(
    "line",
    [
        "pulse-jax upsample in/",
        "pulse-jax upsample in/ --output o/ --restart 4",
        "pulse-jax sample --output o --seed -1",
    ],
)
def test_a_command_that_does_not_parse_is_found(line, parse, capsys):
    with pytest.raises(SystemExit):
        parse(commands(line)[0])


@pytest.mark.parametrize("line", ["python -m examples.benchmarks.compare_presets --outputs o", "make"])
def test_a_program_that_does_not_exist_is_found(line, parse, capsys):
    with pytest.raises((SystemExit, AssertionError)):
        parse(commands(line)[0])


def test_words_of_commands_are_told_apart():
    assert commands("a 'b c' && d  # e && f\ng \\\n  h; i\n") == [["a", "b c"], ["d"], ["g", "h"], ["i"]]


def test_the_readmes_test_command_is_the_one_that_is_run():
    script = ROOT / ".ci" / "run"
    if not script.is_file():
        pytest.skip("only a checkout holds the script")
    (command,) = re.findall(r"^test_command='(.+)'$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert command in README.read_text(encoding="utf-8").splitlines()


@every
def test_python_compiles(path):
    for block in blocks(path.read_text(encoding="utf-8"), "python"):
        compile(block, path.name, "exec")


@pytest.mark.slow
def test_the_readmes_python_runs(monkeypatch):
    (block,) = blocks(README.read_text(encoding="utf-8"), "python")
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(block, README.name, "exec"), names)
    assert names["low_res"].shape == (8, 8, 3)
    assert names["solutions"].images.shape == (1, 4, 64, 64, 3)


@pytest.mark.slow
def test_the_readmes_walk_through_runs(tmp_path):
    walk = README.read_text(encoding="utf-8").partition("## A walk-through")[2]
    (tmp_path / "pulse_jax").symlink_to(ROOT / "pulse_jax")
    program = "import sys; from pulse_jax.cli import main; sys.exit(main())"
    # The commands share what they compile, as a user's do.
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    for _, *words in commands(blocks(walk, "sh")[0]):
        result = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | cache,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{shlex.join(words)}: {result.stderr[-2000:]}"
        if "--output" in words:
            folder = tmp_path / words[words.index("--output") + 1]
            assert (folder / "summary.json").is_file()
            for picture in folder.glob("**/sheet.png"):
                assert picture.stat().st_size > 0


def test_every_package_that_is_installed_brings_its_documents():
    """The wheel holds whole packages; nothing may leave their Markdown out."""
    import tomllib

    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"] == {"packages": ["pulse_jax", "convert"]}
    included = build["targets"]["sdist"]["include"]
    tops = {str(path.relative_to(ROOT)).split(os.sep)[0] for path in DOCUMENTS}
    assert tops <= set(included)
