"""JSON Schemas of the three files, made from the code that checks them, and the check of files from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from chatrixcd_threads.errors import ConfigError
from chatrixcd_threads.settings import aliases, config, keys, texts
from chatrixcd_threads.settings.document import Document, parse, read
from chatrixcd_threads.settings.model import CONFIG_VERSION, Settings

KINDS: Final = ("config", "aliases", "messages")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_ANYTHING: Mapping[str, Schema] = {
    "^_": {"description": "A note of your own, or a mark of the program that wrote the file; it means nothing here."}
}
_OWN_SCHEMA: Schema = {"type": "string", "description": "Where an editor finds this schema."}


def schema(name: str) -> Schema:
    """The schema of config.json, aliases.json or messages.json. Raises KeyError for another name."""
    made: Mapping[str, Callable[[], Schema]] = {"config": _config, "aliases": _aliases, "messages": _messages}
    whole = {"$schema": DIALECT, "title": f"{name}.json of chatrixcd-threads", **made[name]()}
    return dict(json.loads(json.dumps(whole)))  # plain lists and objects, as any validator wants them


def schema_text(name: str) -> str:
    """The schema as it stands in config/schema."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def print_schema(name: str) -> int:
    """For the command line: prints one schema; the exit status."""
    if name not in KINDS:
        sys.stderr.write(f"There is no schema “{name}”. There are {', '.join(KINDS)}.\n")
        return 1
    sys.stdout.write(schema_text(name))
    return 0


def check_files(
    paths: Sequence[str | Path], kind: str | None = None, *, builtins: Collection[str] | None = None
) -> int:
    """For the command line: checks files as the bot would; 0 when all are good, 1 when one is not.

    Without paths the three files of this folder, as far as they are there. `builtins`: the commands that aliases may name.
    """
    named = [Path(path) for path in paths] or [
        path for path in (Path(f"{each}.json") for each in KINDS) if path.exists()
    ]
    if not named:
        sys.stderr.write(f"There is nothing to check here: no {', '.join(f'{each}.json' for each in KINDS)}.\n")
        return 1
    verdicts = [_is_good(path, kind or kind_of(path), builtins) for path in named]
    return 0 if all(verdicts) else 1


def kind_of(path: Path) -> str | None:
    """Which of the three files this is, by its name; a file in a folder “packs” is a messages file."""
    found = [each for each in KINDS if each in path.name.casefold() or each.rstrip("es") in path.name.casefold()]
    if not found and path.absolute().parent.name == "packs":
        return "messages"
    return found[0] if len(found) == 1 else None


def _is_good(path: Path, kind: str | None, builtins: Collection[str] | None) -> bool:
    if kind is None:
        sys.stderr.write(f"{path}: is this config, aliases or messages? Say it with --kind.\n")
        return False
    checks: Mapping[str, Callable[[Document], tuple[object, Iterable[str]]]] = {
        "config": config.check,
        "aliases": lambda document: aliases.check(document, builtins),
        "messages": lambda document: (texts.check(document), ()),
    }
    try:
        found, warnings = checks[kind](parse(read(path), str(path)))
    except FileNotFoundError:
        sys.stderr.write(f"{path}: there is no such file\n")
        return False
    except ConfigError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return False
    lacks = config.missing_keys(found) if isinstance(found, Settings) else ()
    sys.stdout.write("".join(f"{warning}\n" for warning in warnings) + f"{path}: good\n")
    sys.stdout.write("".join(f"{path}: the bot does not start with it yet. {sentence}\n" for sentence in lacks))
    return True


def _config() -> Schema:
    made = msgspec.json.schema(Settings)
    sections = {name: made["$defs"][name] for name in made["$defs"]}
    properties = {
        section: _or_null(_section(section, sections[_target(form)], sections))
        for section, form in sections["Settings"]["properties"].items()
    }
    version = {"type": "integer", "minimum": 1, "description": f"The version of this form: {CONFIG_VERSION}."}
    return {
        "type": "object",
        "properties": {"$schema": _OWN_SCHEMA, "_config_version": version, **properties, **_useless("")},
        "patternProperties": dict(_ANYTHING),
        "additionalProperties": False,
    }


def _section(name: str, made: Schema, sections: Mapping[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {}
    for key, form in made["properties"].items():
        full = f"{name}.{key}"
        if target := _target(form):
            properties[key] = _or_null(_section(full, sections[target], sections))
        else:
            properties[key] = _or_null(_key(full, form))
    return {
        "description": keys.DESCRIPTIONS[name],
        "type": "object",
        "properties": {**properties, **_useless(f"{name}.")},
        "additionalProperties": False,
    }


def _key(name: str, form: Schema) -> Schema:
    made: Schema = {"description": keys.DESCRIPTIONS[name], **form}
    rule = keys.RULES.get(name, keys.PLAIN)
    if form.get("type") == "array":
        made["items"] = {**form["items"], **rule.form}
    elif form.get("type") == "object":
        made["propertyNames"] = dict(keys.TABLES[name].form)
        made["additionalProperties"] = {**form["additionalProperties"], **rule.form}
    elif form.get("type") == "string" or rule is not keys.PLAIN:
        made.update(rule.form)
    if name in keys.EMPTY_IS_DEFAULT and "enum" not in form:
        made.pop("minLength", None)
    return made


def _target(form: Schema) -> str:
    """The definition to which a property refers; empty when it has its form itself."""
    references = [form, *form.get("allOf", ()), *form.get("anyOf", ())]
    return next((str(each["$ref"]).rpartition("/")[2] for each in references if "$ref" in each), "")


def _or_null(form: Schema) -> Schema:
    """Null stands for the default everywhere."""
    made = dict(form)
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    if "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def _useless(start: str) -> dict[str, Schema]:
    """Keys of ChatrixCD that are taken and mean nothing."""
    return {
        name.removeprefix(start): {"deprecated": True, "description": f"Without effect here: {reason}."}
        for name, reason in keys.WITHOUT_EFFECT.items()
        if name.startswith(start) and "." not in name.removeprefix(start)
    }


def _aliases() -> Schema:
    made = msgspec.json.schema(dict[str, str])
    command = {
        **made["additionalProperties"],
        "description": "The command for which the name stands, without the prefix. {1} {2} … are words typed after the name, {*} the rest.",
        "pattern": r"\S",
        "maxLength": aliases.MAX_COMMAND,
    }
    return {
        **made,
        "properties": {"$schema": _OWN_SCHEMA},
        "patternProperties": dict(_ANYTHING),
        "additionalProperties": command,
        "propertyNames": {"pattern": r"^[^\s\"'\\-][^\s\"'\\]*$"},
    }


def _messages() -> Schema:
    properties = {
        category: {
            "description": texts.USED[category]
            + " Placeholders: "
            + ", ".join(f"{{{name}}}" for name in sorted(known))
            + ".",
            "type": ["array", "null"],
            "minItems": 1,
            "items": {
                **msgspec.json.schema(str),
                "maxLength": texts.MAX_MESSAGE,
                "pattern": r"^(?=[\s\S]*\S)([^{}]|\{\{|\}\}|\{(" + "|".join(sorted(known)) + r")\})*$",
            },
        }
        for category, known in texts.PLACEHOLDERS.items()
    }
    return {
        "type": "object",
        "properties": {"$schema": _OWN_SCHEMA, **properties},
        "patternProperties": dict(_ANYTHING),
        "additionalProperties": False,
    }
