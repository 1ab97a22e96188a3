"""Turns the bytes of a registry file into plain data and remembers where each value stood."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass
class Document:
    """The data of a file, where everything stood, and what was wrong already at this level."""

    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[tuple[Place | None, str]] = field(default_factory=list)

    def place_of(self, path: Path) -> Place | None:
        """Where the value stands, or the nearest thing around it that exists."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


def read_yaml(content: bytes) -> Document:
    """Parse one YAML (or JSON) document of at most 1 MB; never raises, problems are in the answer.

    Nothing is ever constructed but texts, numbers, booleans, lists and mappings. An alias may
    stand for a single value only, so a small file cannot grow.
    """
    document = Document()
    if len(content) > MAX_BYTES:
        document.problems.append((None, f"the file has more than {MAX_BYTES:,} bytes"))
        return document
    try:
        text = content.decode("utf-8-sig")
        yaml = YAML(typ="safe", pure=True)
        yaml.max_depth = MAX_DEPTH
        yaml.composer.warn_double_anchors = False
        root = yaml.compose(text)
    except UnicodeDecodeError as error:
        place = _place_at(content[: error.start].decode("utf-8", errors="replace"))
        document.problems.append((place, "the file is not UTF-8 text"))
    except ReaderError as error:
        place = _place_at(text[: error.position])
        document.problems.append((place, f"the character U+{error.character:04X} is not allowed in YAML"))
    except MarkedYAMLError as error:
        document.problems.append((_marked(error.problem_mark or error.context_mark), _sentence(error)))
    except (YAMLError, ValueError) as error:
        document.problems.append((None, str(error)))
    else:
        if root is None:
            document.problems.append((Place(1, 1), "the file is empty"))
        else:
            document.data = _Builder(yaml, document).build(root, ())
    return document


class _Builder:
    """Walks the node tree once; every node becomes plain data or a problem."""

    def __init__(self, yaml: YAML, document: Document) -> None:
        self._yaml = yaml
        self._document = document
        self._seen: set[int] = set()

    def build(self, node: Node, path: Path) -> Any:
        self._document.values[path] = _marked(node.start_mark) or Place(1, 1)
        if not isinstance(node, ScalarNode):
            if id(node) in self._seen:
                # Its mark is that of the anchor: the place of the alias itself is not kept.
                self._problem(node, "an alias may stand for a single value only, not for a list or a mapping")
                return None
            self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        names: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._problem(key_node, "a key must be a plain name")
                continue
            name = str(key_node.value)
            if name in names:
                self._problem(key_node, f"the key `{name}` stands here a second time")
                continue
            names.add(name)
            self._document.keys[(*path, name)] = _marked(key_node.start_mark) or Place(1, 1)
            yield name, self.build(value_node, (*path, name))

    def _scalar(self, node: Node) -> Any:
        if str(node.tag) not in _PLAIN_TAGS:
            self._problem(node, f"the tag {node.tag} is not allowed here")
            return None
        if str(node.tag) == _TIMESTAMP:
            return str(node.value)
        try:
            value = self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError, OverflowError):
            self._problem(node, f"{str(node.value)[:40]!r} cannot be read as a value; put it in quotes")
            return None
        return _joined(value) if isinstance(value, str) else value

    def _problem(self, node: Node, message: str) -> None:
        self._document.problems.append((_marked(node.start_mark), message))


def _joined(text: str) -> str:
    """JSON writes a character outside the basic plane as two escapes, which YAML reads one by one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _marked(mark: Any) -> Place | None:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else None


def _place_at(before: str) -> Place:
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _sentence(error: MarkedYAMLError) -> str:
    if isinstance(error, MaxDepthExceededError):
        return f"lists and mappings are nested deeper than {MAX_DEPTH} levels"
    parts = [str(part) for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "this is not valid YAML"
