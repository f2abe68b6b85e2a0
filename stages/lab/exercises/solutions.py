"""Solutions: a hint on the way to ours, and ours as the code that a cell would hold."""

import ast
import inspect
from pathlib import Path

from stages.lab.checkout import ROOT
from stages.lab.text import Text

SOLUTIONS = ROOT / "solutions"


def hint(hints: tuple[str, ...], number: int) -> Text:
    """Return a hint with its number; raises ValueError for one that there is not."""
    if not 1 <= number <= len(hints):
        raise ValueError(
            f"There is no hint {number}. There are {len(hints)}: hint(1) is the first."
        )
    left = len(hints) - number
    more = "the last; then solution() shows ours" if not left else f"{left} more"
    told = f"Hint {number}, {more}. {hints[number - 1]}"
    return Text(told, told)


def solution(stem: str, name: str, or_else: str) -> Text:
    """Return our solution of this name as code, and what else would have been right."""
    code = source(SOLUTIONS / f"{stem}.py", name)
    return Text(f"```python\n{code}\n```\n\n{or_else}", f"{code}\n\n{or_else}")


def other_kind(stem: str, answer: object, name: str) -> str:
    """Return what to say of an answer that is `async` where ours is not, or the reverse."""
    tree = ast.parse((SOLUTIONS / f"{stem}.py").read_text(encoding="utf-8"))
    ours = next((type(node) for node in tree.body if getattr(node, "name", None) == name), None)
    is_async = inspect.iscoroutinefunction(answer) or inspect.isasyncgenfunction(answer)
    if ours is ast.AsyncFunctionDef and inspect.isfunction(answer) and not is_async:
        return f"The stub is an `async def {name}`, and this is a plain `def`."
    if ours is ast.FunctionDef and is_async:
        return f"The stub is a plain `def {name}`, and this is an `async def`."
    return ""


def source(path: Path, name: str) -> str:
    """Return a function or class of a module, with the imports and constants that it needs.

    Raises LookupError when the module has none of this name.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    defined = {named: node for node in tree.body for named in _names(node)}
    if name not in defined:
        raise LookupError(f"{path.name} has no {name}. It has: {', '.join(defined)}.")
    needed, found = {name}, set[str]()
    while needed:
        one = needed.pop()
        found.add(one)
        used = {node.id for node in ast.walk(defined[one]) if isinstance(node, ast.Name)}
        needed |= (used & defined.keys()) - found
    kept = [node for node in tree.body if found & set(_names(node))]
    return _joined(text, kept, found)


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _joined(text: str, nodes: list[ast.stmt], used: set[str]) -> str:
    """Return statements as code, imports first, each with the names that are used."""
    imports, others = [], []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [a for a in node.names if (a.asname or a.name).partition(".")[0] in used]
            imports.append(ast.unparse(node))
        else:
            others.append(_with_decorators(text, node))
    return "\n\n\n".join(filter(None, ("\n".join(imports), *others)))


def _with_decorators(text: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
