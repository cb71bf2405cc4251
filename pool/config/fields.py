"""What sections of the configuration share: paths relative to the file, and secrets read where needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo


def _from_file(path: Path, info: ValidationInfo) -> Path:
    """A path as the configuration file means it: relative to itself."""
    base = (info.context or {}).get("directory")
    return path if base is None else Path(base) / path


def _read_secret(value: object, info: ValidationInfo) -> object:
    """Turn ``{ file = … }`` or ``{ env = … }`` into the text it names; leave other values alone."""
    if not isinstance(value, dict):
        return value
    match value:
        case {"file": str(path), **rest} if not rest:
            try:
                return _from_file(Path(path), info).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(f"the secret's file cannot be read: {error.strerror}") from error
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"the environment has no {name}: set it, or name a file")
            return os.environ[name]
    raise ValueError('a secret is a string, { file = "…" } or { env = "…" }')


def withhold(section: object, info: ValidationInfo) -> object:
    """Leave a secret unread that a process does not need, and may have no right to read."""
    wanted = (info.context or {}).get("secrets")
    if wanted is None or info.field_name in wanted or not isinstance(section, dict):
        return section
    return {**section, **{key: "" for key in ("password", "rune") if isinstance(section.get(key), dict)}}


ConfigPath = Annotated[Path, AfterValidator(_from_file)]
Secret = Annotated[str, BeforeValidator(_read_secret), Field(repr=False)]
OptionalSecret = Annotated[str | None, BeforeValidator(_read_secret)]


class Section(BaseModel):
    """A table of the file: a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
