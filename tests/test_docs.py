"""Pages, their links, and what code says about them."""

import ast
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest
import yaml

import mapush_stack
from mapush_stack.cli.main import cli
from mapush_stack.settings import check_path
from mapush_stack.training.config import ExperimentConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "env" / "README.md", ROOT / "patches" / "README.md"])
PRESETS = ROOT / "mapush_stack" / "presets"
SKIPPED = {"build", "dist", "results", "node_modules", "site"}
"""Folders that hold no sources of this project; hidden ones are skipped too."""

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="images hold no docs/")


def sources(*endings):
    """Text files of the repository with one of these endings."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") or part in SKIPPED or part.endswith(".egg-info") for part in parts[:-1])
        if path.is_file() and not hidden and path.suffix in endings:
            yield path


def unwrapped(path):
    """A file's text with wrapped lines and their comment marks joined."""
    return re.sub(r"\s*\n[ \t]*(?:#[ \t]*)?", " ", path.read_text(encoding="utf-8"))


def without_code(text):
    """Markdown without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """What links to a page's headings may end with, as GitHub makes it."""
    found = []
    for heading in re.findall(r"^#+ +(.+?) *$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def sections():
    """Numbers of the sections of docs/task.md."""
    return set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", (DOCS / "task.md").read_text(encoding="utf-8"), re.MULTILINE))


def references(text, prefix):
    """Section numbers in `prefix section 9`, `prefix sections 3, 12 and 12.1`, with or without a comma."""
    number = r"\d+(?:\.\d+)?"
    for match in re.finditer(rf"{prefix}sections? ({number}(?:(?:, | and | to |, and ){number})*)", text):
        yield from re.findall(number, match[1])


def test_the_task_has_its_sections():
    assert sections() == {*map(str, range(1, 16)), "12.1", "12.2"}


def test_references_to_the_task_lead_to_a_section():
    known, seen = sections(), 0
    for path in sources(".py", ".yaml", ".yml", ".md"):
        for number in references(unwrapped(path), r"docs/task\.md,? "):
            assert number in known, f"{path.relative_to(ROOT)}: docs/task.md has no section {number}"
            seen += 1
    own = list(references(unwrapped(DOCS / "task.md"), ""))
    assert set(own) <= known
    assert seen > 10, "the pattern above finds too few references"


def test_quirks_that_code_names_are_described():
    described = set(re.findall(r"\*\*\((\w)\)\*\*", (DOCS / "task.md").read_text(encoding="utf-8")))
    for path in sources(".py", ".yaml"):
        named = re.findall(r"docs/task\.md,? section 9,? (?:quirk (\w)\b|(\w)\))", unwrapped(path))
        assert {letter for pair in named for letter in pair if letter} <= described, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    text = without_code(page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_pages_that_code_names_exist():
    for path in sources(".py", ".yaml", ".yml", ".sh", ".toml"):
        for name in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


def test_files_that_pages_name_exist():
    upstream = {"task/train.sh", "examples/train.py", "openrl_ws/train.py"}
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|yaml|sh|diff|c|lock))`", page.read_text(encoding="utf-8")):
            known = (ROOT / name).exists() or (ROOT / "mapush_stack" / name).exists()
            assert known or name in upstream, f"{page.relative_to(ROOT)} names {name}"


def test_fields_that_pages_name_exist():
    of_plugins = {"task.rewards.calm", "sim.cart.max_force"}
    path, seen = r"((?:task|sim|learner|training|evaluation)(?:\.[a-z_0-9]+)+)", set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        seen |= {*re.findall(rf"\b{path}=", text), *re.findall(rf"`{path}`", text)}
    assert len(seen) > 20
    for field in seen - of_plugins:
        check_path(ExperimentConfig, field.split("."))


def test_the_task_page_lists_the_weights_of_the_presets():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (-?[\d.]+) \| (-?[\d.]+) \|$", (DOCS / "task.md").read_text(), re.MULTILINE)
    told = {term: (float(default), float(paper)) for term, default, paper in rows}
    default, paper = (
        yaml.safe_load((PRESETS / name).read_text())["task"]["rewards"]
        for name in ("default.yaml", "parts/rewards-paper.yaml")
    )
    weights = {name: (default.get(name, 0.0), paper.get(name, 0.0)) for name in {**default, **paper}}
    assert told == weights


def test_pages_show_the_figures_that_scripts_draw(tmp_path):
    pytest.importorskip("matplotlib")
    for script in (DOCS / "figures").glob("*.py"):
        namespace = {"__file__": str(script), "__name__": "figures"}
        exec(compile(script.read_text(), script.name, "exec"), namespace)
        namespace["main"](tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert drawn == set(re.findall(r'<img src="figures/([^"]+)"', text))
    assert drawn == {path.name for path in (DOCS / "figures").glob("*.svg")}
    assert all((tmp_path / name).stat().st_size > 10_000 for name in drawn)


def test_the_architecture_figure_shows_every_folder():
    script = (DOCS / "figures" / "architecture.py").read_text(encoding="utf-8")
    named = ", ".join(re.findall(r'\("([a-z_, ]+)", "', script)).split(", ")
    folders = {path.parent.name for path in (ROOT / "mapush_stack").glob("*/__init__.py")}
    assert folders <= set(named)


def test_the_site_has_every_page():
    listed = set(re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} <= listed


def commands():
    """(page, words) of every `mapush` command in code; what its shell does with it is left out."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        inline = [" ".join(code.split()) for code in re.findall(r"`(mapush [^`]+)`", without_code(text))]
        for line in [*inline, *(line for block in blocks for line in block.splitlines())]:
            match = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*mapush ([a-z][^#│]*)", line)
            if match and not re.search(r"\.\.\.|…", match[1]):
                yield page, shlex.split(re.split(r" (?:&&|\|\|?|>) |  or |;", match[1])[0])


def test_commands_that_pages_tell_exist():
    """Verbs, options and choices, as the command line itself reads them."""
    seen = 0
    for page, words in commands():
        context, command = click.Context(cli, info_name="mapush"), cli
        while isinstance(command, click.Group) and words:
            words = words[2:] if words[0] == "--plugin" else words
            command = command.get_command(context, words.pop(0))
            assert command, f"{page.name}: {context.info_name} has no such command"
            context = click.Context(command, parent=context, info_name=command.name)
        try:
            given, _, _ = command.make_parser(context).parse_args(list(words))
            for option in command.params:
                for value in [given[option.name]] if isinstance(given.get(option.name), str) else ():
                    if isinstance(option.type, click.Choice):
                        option.type.convert(value, option, context)
        except click.BadOptionUsage:
            pass  # a page may speak of `mapush train --from`
        except click.UsageError as error:
            pytest.fail(f"{page.name}: mapush {command.name} {' '.join(words)}: {error.format_message()}")
        seen += 1
    assert seen > 300


def test_the_tables_of_speed_name_their_programs():
    """`benchmarks/tables.py` runs the commands of its page."""
    found = list(runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))["commands"]())
    assert {part for part, _, _ in found} == {"How well it learns", "Beside an earlier commit", "On a GPU", "On a CPU"}
    for _, _, command in found:
        program, first, *_ = command.split()
        assert program == "mapush" or (program == "python" and (ROOT / first).is_file()), command


def test_every_command_has_a_row():
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `mapush ([a-z-]+)", page, re.MULTILINE)
    assert sorted(rows) == sorted(cli.list_commands(click.Context(cli)))


def test_the_tutorials_say_of_every_command_where_it_runs():
    """Their commands are in blocks of `sh`, which tests/test_docs_commands.py runs or which say what they need."""
    for page in (DOCS / "tutorials").glob("*.md"):
        kinds = re.findall(r"^ *```(\w*)\n.*?^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert set(kinds) <= {"sh", "python", "yaml", "text"} and "sh" in kinds, page


def lint_commands():
    """Commands of `nox -s lint`, each as its words up to the first that is computed."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    (lint,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "lint")
    for call in (node for node in ast.walk(lint) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "run":
            yield [word.value for word in call.args if isinstance(word, ast.Constant)]


def test_pre_commit_runs_what_lint_runs():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].replace(".nox/lint/bin/", "").split() for hook in repository["hooks"]]
    commands = list(lint_commands())
    for command in commands:
        files_follow = command[0] == "shellcheck"
        wanted = command[:1] if files_follow else command
        assert any(entry[: len(wanted)] == wanted for entry in entries), f"no hook runs {' '.join(command)}"
    assert {entry[0] for entry in entries} == {command[0] for command in commands}


def test_the_citation_file_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    assert str(citation["version"]) == mapush_stack.__version__
    (paper,) = citation["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2411.07104"}]


def test_the_changelog_knows_this_version():
    date = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["date-released"]
    assert f"## [{mapush_stack.__version__}] - {date}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_nothing_refers_to_a_file_that_is_not_here():
    gone = "task" + "_spec"
    for path in sources(".py", ".yaml", ".yml", ".md", ".toml", ".sh", ".json"):
        assert gone not in path.read_text(encoding="utf-8"), f"{path.relative_to(ROOT)} refers to {gone}"
