"""The doctor on the model that stages ask for by default: providers shut models down."""

import ast
import importlib.util
import re
from itertools import pairwise
from pathlib import Path

from stages.lab.doctor.findings import Finding
from stages.lab.doctor.packages import installed

# Each stage has it in a line of its own, since a stage imports nothing of the lab; a test compares.
DEFAULT_MODEL = "gpt-6-luna"
LIST = "https://developers.openai.com/api/docs/deprecations"
ANOTHER = f"Only a real provider minds. Name another model there, with CHAT_MODEL; see {LIST}"
LOOK = f"Only a real provider minds. Look there: {LIST}"


def listed() -> Path | None:
    """Return the file in which the installed SDK lists the models of Chat Completions."""
    found = importlib.util.find_spec("openai")  # not imported, which would take a second
    places = found.submodule_search_locations if found else None
    return Path(places[0], "types", "shared", "chat_model.py") if places else None


def judge(source: Path | None, model: str = DEFAULT_MODEL) -> Finding:
    """Judge whether the SDK lists the model, and lists it as deprecated."""
    sdk = f"openai {installed('openai') or ''}".strip()
    try:
        models, deprecated = read(source.read_text(encoding="utf-8") if source else "")
    except (OSError, ValueError, SyntaxError) as exc:
        what = f"cannot tell whether the default model {model} is deprecated: {sdk}: {exc}"
        return Finding("warning", what, LOOK)
    if model in deprecated:
        what = f"the default model {model} is deprecated, says {sdk}: {deprecated[model]}"
        return Finding("warning", what, ANOTHER)
    if model not in models:
        what = f"cannot tell whether the default model {model} is deprecated: {sdk} has no {model}"
        return Finding("warning", what, LOOK)
    return Finding("ready", f"{sdk} lists the default model {model}, and not as deprecated")


def read(source: str) -> tuple[set[str], dict[str, str]]:
    """Return the models in the source of the SDK's list, and what it says of the deprecated ones.

    Which ones are deprecated stands only in the text below the list, and no program can import it:
    raises ValueError when any of it has another form than that of openai 3.54.
    """
    body = ast.parse(source).body
    for node, below in pairwise([*body, None]):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ChatModel":
            names = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
            return {name for name in names if isinstance(name, str)}, _deprecated(below)
    raise ValueError("it has no list of models")


def _deprecated(below: ast.stmt | None) -> dict[str, str]:
    match below:
        case ast.Expr(ast.Constant(str(text))) if text.startswith("Deprecated values:"):
            groups = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        case _:
            raise ValueError("its list says nothing of deprecated ones")
    said: dict[str, str] = {}
    for group in groups:
        parts = re.fullmatch(r'((?:"[^"]+"(?:, |: ))+)(\S.*)', " ".join(group.split()))
        if parts is None:
            raise ValueError("its list of deprecated ones has another form than it had")
        first_sentence = parts[2].partition(". ")[0].rstrip(".")
        said |= dict.fromkeys(re.findall(r'"([^"]+)"', parts[1]), first_sentence)
    if not said:
        raise ValueError("its list of deprecated ones is empty")
    return said
