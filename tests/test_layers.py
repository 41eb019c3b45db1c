"""The map of the rooms, kept: who may import whom, and how long a file may be. Read from the source, nothing is imported."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "crawler"
PAGE = PACKAGE / "monitor" / "dashboard" / "page"
MAX_LINES = 400


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MONITOR = {module for module in SOURCES if module.startswith("crawler.monitor.")}
API = {module for module in SOURCES if module.startswith("crawler.api")}
WORKERS = {module for module in SOURCES if module.startswith("crawler.run.workers.")}
NODE = {module for module in SOURCES if module.startswith("crawler.run.shared.")}
LEASES = {f"crawler.frontier.shared.{name}" for name in ("held", "leasing", "states")}
COMMANDS = {module for module in SOURCES if module.startswith("crawler.cli.commands.")}
FORMATS = {module for module in SOURCES if module.startswith("crawler.check.formats.")}
REPORT = {module for module in SOURCES if module.startswith("crawler.report")}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules that these statements import; of `from a import b` both `a` and, where that is a module, `a.b`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found = {name for name in submodules if name in SOURCES or name == "twisted.internet.reactor"}
            # A package is only meant where something of its own is asked for.
            names |= found if len(found) == len(submodules) else found | {node.module}
    return names


def everywhere(module: str) -> set[str]:
    """What a module imports, at its top, in functions or for types alone."""
    return imported(ast.walk(ast.parse(SOURCES[module].read_text())))


def at_the_top(module: str) -> set[str]:
    """What a module imports when it is imported itself."""

    def executed(body: list[ast.stmt]) -> Iterator[ast.AST]:
        for node in body:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            yield node
            for field in ("body", "orelse", "finalbody", "handlers"):
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield from executed(getattr(node, field, []))

    return imported(executed(ast.parse(SOURCES[module].read_text()).body))


IMPORTS = {module: everywhere(module) for module in SOURCES}
OURS = {module: {name for name in names if name.split(".")[0] == "crawler"} for module, names in IMPORTS.items()}


def importers(*rooms: str) -> set[str]:
    """Who imports one of these modules or something inside, other than they themselves."""
    inside = tuple(f"{room}." for room in rooms)
    return {
        module
        for module, names in IMPORTS.items()
        if module not in rooms
        and not module.startswith(inside)
        and any(name in rooms or name.startswith(inside) for name in names)
    }


def test_every_import_exists() -> None:
    """What is imported of crawler is a module of it: the rules below are about what is there."""
    assert {name for names in OURS.values() for name in names} <= set(SOURCES)


def test_no_circles() -> None:
    """Imports go one way, late ones and those for types too. Only the package's own __init__ may look down and up."""
    done: set[str] = set()

    def descend(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in OURS[module] - {"crawler"}:
                descend(name, (*path, module))
            done.add(module)

    for module in SOURCES:
        descend(module, ())


ORDER = [
    "cli",
    "testing",
    "api",
    "check",
    "cluster",
    "site",
    "run",
    "report",
    "monitor",
    "job",
    "engine",
    "sinks",
    "frontier",
    "store",
    "spiders",
    "page",
    "robots",
    "seeds",
    "config",
    "stats",
    "fetch",
    "politeness",
    "objects",
]
"""The rooms, from the top floor down. Below them all lies the vocabulary, which every room shares."""

VOCABULARY = {"charset", "errors", "files", "models", "printable", "redaction", "urls", "version"}


PACKAGES = {module for module, path in SOURCES.items() if path.name == "__init__.py"}


def room(module: str) -> str:
    """The room of a module, or the word of the vocabulary that it is."""
    return module.split(".")[1] if "." in module else ""


def public_names(package: str) -> set[str]:
    """What a room's __init__ names in __all__: the modules that others may import, and names of its own."""
    for node in ast.parse(SOURCES[package].read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_every_folder_is_a_room() -> None:
    """And every file beside them is a word of the vocabulary, or one of the two ways in."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert folders == set(ORDER) | {"charset", "models"}
    assert files == VOCABULARY - {"charset", "models"} | {"__init__", "__main__"}


def test_the_map_has_every_room() -> None:
    """That of the documentation, from the top floor down; a room within one is named beside it."""
    page = (ROOT / "docs" / "explanation" / "how-it-works.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \| (.+) \|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == ORDER
    for name, words in rows:
        inner = {path.name for path in (PACKAGE / name).iterdir() if path.is_dir()}
        assert set(re.findall(r"`(\w+)/`", words)) <= inner, name


def test_rooms_import_downwards() -> None:
    """A room knows those below it, and the vocabulary; the vocabulary knows no room."""
    for module, names in OURS.items():
        for name in names - {"crawler"}:
            above, below = room(module), room(name)
            if above in {"", "__main__"} or above == below or below in VOCABULARY:
                continue
            assert above not in VOCABULARY, f"{module} imports {name}"
            assert ORDER.index(above) < ORDER.index(below), f"{module} imports {name}"


def test_a_room_is_entered_by_its_public_names() -> None:
    """What a room's __init__ does not name is its own business, also for what is inside another room of it."""
    for module, names in OURS.items():
        for name in names:
            parts = name.split(".")
            for depth in range(2, len(parts)):
                package = ".".join(parts[:depth])
                if package in PACKAGES and not f"{module}.".startswith(f"{package}."):
                    assert parts[depth] in public_names(package), f"{module} imports {name}"


def test_public_names_are_used() -> None:
    """A room names no module that nobody outside imports."""
    for package in PACKAGES - {"crawler"}:
        for name in public_names(package):
            target = f"{package}.{name}"
            if target in SOURCES:
                assert importers(target) - {m for m in SOURCES if f"{m}.".startswith(f"{package}.")}, target


def test_names_of_test_files_are_unique() -> None:
    """pytest imports them by that name alone: with two of one name the whole suite is refused."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_rooms_are_small() -> None:
    """A newcomer reads the list of folders, and then that of a folder."""
    assert len([path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]) <= 25
    for package in PACKAGES - {"crawler"}:
        files = [path for path in SOURCES[package].parent.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 12, package


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("crawler.cli.main", {"crawler.__main__"}),
        ("crawler.cli.commands.table", {"crawler.cli.main"}),
        ("crawler.cli.usage.flags", {"crawler.cli.main", "crawler.cli.commands.table"}),
        ("crawler.cli.answers", {"crawler.cli.main", *COMMANDS}),
        (
            "crawler.cli.usage.help",
            {
                "crawler.cli.commands.table",
                "crawler.cli.usage.manual",
                "crawler.cli.usage.completion",
                "crawler.cli.usage.config_file",
            },
        ),
        ("crawler.cli.usage.completion", {"crawler.cli.main"}),
        ("crawler.cli.terminal", COMMANDS),
        ("crawler.cli.shell", COMMANDS),
        ("crawler.cli.doctor", COMMANDS),
        ("crawler.api", {"crawler", "crawler.cli.terminal", "crawler.cli.shell", "crawler.cli.doctor"}),
        ("crawler.run.thread", API),
        ("crawler.site", {*COMMANDS, "crawler.cli.doctor", "crawler.testing.site"}),
        (
            "crawler.monitor",
            {
                "crawler.api.notebook",
                "crawler.cli.answers",
                "crawler.cli.main",
                "crawler.cli.terminal",
                "crawler.run.artifacts",
                "crawler.run.monitors",
                *COMMANDS,
                "crawler.cli.attach",
                "crawler.cli.prompt",
                *REPORT,
                *FORMATS,
            },
        ),
        ("crawler.run.monitors", {"crawler.run.composition"}),
        ("crawler.run.network", {"crawler.run.parts", *WORKERS}),
        ("crawler.run.parts", {"crawler.run.composition"}),
        ("crawler.cli.commands.jobs", {"crawler.cli.commands.reading"}),
        (
            "crawler.run.composition",
            {*API, "crawler.cli.commands.reading", "crawler.cluster.working"},
        ),  # an archive is reported on by a run over it
        ("crawler.run.outputs", {"crawler.run.composition", "crawler.run.parts", "crawler.run.workers.worker"}),
        ("crawler.engine.control", {"crawler.run.composition", "crawler.run.monitors", *MONITOR}),
        ("crawler.cli.attach", COMMANDS),
        ("crawler.cli.prompt", {"crawler.cli.attach"}),
        ("crawler.report", {"crawler.run.artifacts", *COMMANDS}),
        ("crawler.run.artifacts", {"crawler.run.composition", "crawler.run.monitors"}),
        ("crawler.engine.loop", {"crawler.run.parts", "crawler.engine.control", *NODE}),
        ("crawler.engine.disposition", {"crawler.run.parts", "crawler.engine.loop"}),
        (
            "crawler.engine.admission",
            {"crawler.run.parts", "crawler.engine.control", "crawler.engine.disposition", "crawler.engine.loop", *NODE},
        ),
        ("crawler.engine.gate", {"crawler.run.access.gating", "crawler.engine.disposition", "crawler.engine.loop"}),
        (
            "crawler.robots.policy",
            {"crawler.run.access.gating", "crawler.run.parts", "crawler.engine.gate", *NODE, *LEASES},
        ),
        (
            "crawler.page.discovery",
            {
                "crawler.engine.reading",
                "crawler.run.outputs",
                "crawler.run.workers.worker",
                "crawler.page.parsing",
                "crawler.page.parsing.__main__",
                "crawler.page.parsing.worker",
            },
        ),
        (
            "crawler.engine.reading",
            {"crawler.run.composition", "crawler.run.parts", "crawler.run.outputs", *WORKERS},
        ),
        ("crawler.fetch.client", {"crawler.fetch.fetcher", "crawler.fetch.flight"}),
        (
            "crawler.fetch.flight",
            {"crawler.fetch.fetcher", "crawler.fetch.archive.taping", "crawler.fetch.archive.replay"},
        ),
        (
            "crawler.fetch.fetcher",
            {
                "crawler.engine.side_requests",
                "crawler.engine.loop",
                "crawler.fetch.cache.fetching",
                "crawler.run.access.gating",
                "crawler.run.access.login",
                "crawler.run.network",
                "crawler.run.parts",
                *WORKERS,
            },
        ),
        ("crawler.engine.side_requests", {"crawler.run.access.gating", "crawler.engine.loop"}),
    ],
)
def test_who_may_import_a_room(room: str, allowed: set[str]) -> None:
    """__main__ -> cli -> terminal -> api -> composition -> parts: what is above is not known below, and parts come as arguments."""
    assert importers(room) <= allowed


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("crawler.__main__", {"crawler.cli.main"}),
        ("crawler.errors", set()),
        ("crawler.printable", set()),
        ("crawler.version", set()),
        ("crawler.redaction", set()),
        ("crawler.urls", {"crawler.errors", "crawler.redaction"}),
        ("crawler.charset.encodings", set()),
        ("crawler.charset.guess", {"crawler.charset.encodings"}),
        ("crawler.charset", {"crawler.charset.guess", "crawler.charset.encodings"}),
        ("crawler.models.facts", set()),
        (
            "crawler.models.response",
            {"crawler.errors", "crawler.models.facts", "crawler.models.request", "crawler.urls"},
        ),
        ("crawler.models.cookie", set()),
        ("crawler.models.request", {"crawler.models.cookie", "crawler.urls"}),
        (
            "crawler.models.record",
            {
                "crawler.charset",
                "crawler.files",
                "crawler.models.facts",
                "crawler.models.headers",
                "crawler.models.request",
            },
        ),
        ("crawler.engine.retry", {"crawler.errors", "crawler.fetch.http11.agent", "crawler.models"}),
        ("crawler.politeness.rate_headers", {"crawler.models"}),
        (
            "crawler.politeness.controller",
            {
                "crawler.errors",
                "crawler.models",
                "crawler.politeness.host",
                "crawler.politeness.pace",
                "crawler.politeness.rate_headers",
            },
        ),
        ("crawler.fetch.redirect", {"crawler.errors", "crawler.models", "crawler.redaction", "crawler.urls"}),
        ("crawler.frontier", {"crawler.errors", "crawler.models", "crawler.politeness.host", "crawler.urls"}),
        ("crawler.config.kinds", {"crawler.objects.address", "crawler.redaction"}),
        ("crawler.config.options.groups", set()),
        (
            "crawler.config.options.monitor",
            {"crawler.config.kinds", "crawler.config.options.groups", "crawler.config.sources"},
        ),
        ("crawler.config.patterns", set()),
        (
            "crawler.config.options.input",
            {"crawler.config.options.crawl", "crawler.config.options.groups", "crawler.config.kinds"},
        ),
        ("crawler.seeds.streams", {"crawler.errors"}),
        (
            "crawler.config.options.crawl",
            {
                "crawler.config.kinds",
                "crawler.config.machines",
                "crawler.config.options.groups",
                "crawler.config.patterns",
                "crawler.errors",
                "crawler.urls",
            },
        ),
        ("crawler.engine.scope", {"crawler.errors", "crawler.config.patterns", "crawler.engine.traps", "crawler.urls"}),
        ("crawler.engine.traps", {"crawler.errors", "crawler.urls"}),
        ("crawler.charset.transcode", {"crawler.charset.encodings"}),
        ("crawler.seeds.sitemap_xml", {"crawler.errors"}),
        ("crawler.robots.match", set()),
        ("crawler.robots.rules", {"crawler.robots.match"}),
    ],
)
def test_what_a_leaf_may_import(module: str, allowed: set[str]) -> None:
    """The leaves know each other at most: values, codes and pure rules."""
    assert OURS[module] <= allowed


HTTP11 = ("crawler.fetch.http11", "crawler.fetch.connect", "crawler.fetch.sending.producing")


@pytest.mark.parametrize("inside", [HTTP11, ("crawler.fetch.http2", *HTTP11)])
def test_http_stands_alone(inside: tuple[str, ...]) -> None:
    """The engine under treq, with what it connects and sends by, imports nothing of crawler but the error codes; and
    HTTP/1.1 does not know HTTP/2, which is put before it.
    """
    for module in SOURCES:
        if module.startswith(inside):
            strangers = {name for name in OURS[module] if not name.startswith(inside)}
            assert strangers <= {"crawler.errors"}, module


def test_treq_has_one_importer() -> None:
    """Only the client knows treq; the envelope needs the type of its cookie jar, and forms are written by it."""
    assert importers("treq") == {"crawler.fetch.client", "crawler.fetch.http11.envelope", "crawler.fetch.sending.body"}


@pytest.mark.parametrize(
    ("room", "shared", "roots"),
    [
        (
            "crawler.sinks",
            {"writer", "stream", "fields", "formats", "bodies", "names", "ledger", "archive", "naming", "joining"},
            {
                "crawler",  # its public names
                *COMMANDS,
                "crawler.run.composition",
                "crawler.run.outputs",
                *NODE,  # its parts are lines
                *API,
                "crawler.cli.terminal",
                "crawler.cli.shell",
                "crawler.monitor.console",
                "crawler.monitor.messages",
            },
        ),
        (
            "crawler.frontier",
            {"seen", "shared", "contract", "about", "entries"},
            {"crawler.run.parts", "crawler.job.job", "crawler.cli.commands.machines", *NODE},
        ),
    ],
)
def test_concrete_parts_are_named_by_the_roots_alone(room: str, shared: set[str], roots: set[str]) -> None:
    """Which sinks and frontiers there are is the choice of the roots; everyone else takes the protocol."""
    concrete = [name for name in SOURCES if name.startswith(f"{room}.") and name.rpartition(".")[2] not in shared]
    assert concrete
    assert {name for name in importers(*concrete) if not name.startswith(room)} <= roots


FOREIGN = {
    "_replace",
    "_asyncioEventloop",
    "_registerAsIOThread",
    "_internalReaders",
    "_temporaryObserver",
    "_has_negative_number_optionals",
    "_color_system",
    "_exit",
}
"""Of the standard library, of Twisted and rich: what they have no public name for, each used in one place."""


@pytest.mark.parametrize("module", SOURCES)
def test_private_names_stay_in_their_file(module: str) -> None:
    """A name with a leading underscore is neither imported from another file of ours nor asked of its objects."""
    nodes = list(ast.walk(ast.parse(SOURCES[module].read_text())))
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crawler"):
            assert not [alias.name for alias in node.names if re.match("_[^_]", alias.name)], f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            inherited = ast.unparse(node.value) in {"self", "cls", "super()"}
            assert inherited or node.attr in own | FOREIGN, f"line {node.lineno}: {ast.unparse(node)}"


def test_no_reactor_at_the_top() -> None:
    """Importing twisted.internet.reactor installs it: no module does so by being imported, and only the site's own
    program does so at all.
    """
    reactor = "twisted.internet.reactor"
    assert [module for module in SOURCES if reactor in at_the_top(module)] == []
    assert importers(reactor) <= {"crawler.site.__main__"}


def test_extras_are_optional() -> None:
    """What is no plain dependency is never imported at the top of a module: it may be missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name = re.compile(r"[A-Za-z0-9_.-]+")
    extras = {name.match(line)[0] for lines in project.get("optional-dependencies", {}).values() for line in lines}  # type: ignore[index]
    # Of the dependencies, those of some platforms only; where the marker is the Python version, there is a twin inside.
    somewhere = {name.match(line)[0] for line in project["dependencies"] if "platform" in line}  # type: ignore[index]
    missing = {distribution.replace("-", "_").lower() for distribution in extras | somewhere}
    missing.discard("everyurl")  # an extra may take another one in
    assert "uvloop" in missing
    for module in SOURCES:
        own = {"pytest"} if module == "crawler.testing.plugin" else set()  # which imports it
        assert ({imported.split(".")[0] for imported in at_the_top(module)} - own).isdisjoint(missing), module


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_holds_one_idea(module: str) -> None:
    """No file is longer than can be read in one go; what is written from tables is a table."""
    if module == "crawler.config.typed":
        return
    assert len(SOURCES[module].read_text().splitlines()) <= MAX_LINES


def test_the_scripts_of_the_page() -> None:
    """They are rooms, too: imports go one way, to files that are there, and none is long."""
    scripts = {path.name: path.read_text() for path in PAGE.glob("*.js") if ".min." not in path.name}
    imports = {name: re.findall(r"from '\./(\w+\.js)';", text) for name, text in scripts.items()}
    done: set[str] = set()

    def descend(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for imported in imports[name]:
                descend(imported, (*path, name))
            done.add(name)

    descend("app.js", ())
    assert done == set(scripts)
    assert max(len(text.splitlines()) for text in scripts.values()) <= 250
