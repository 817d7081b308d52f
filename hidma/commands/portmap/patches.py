# SPDX-License-Identifier: GPL-2.0-only
"""Reads the series as it was posted: an mbox (also gzipped), one patch, or a directory of patches, and makes the files
that it leaves behind. Of a file whose beginning is not in the patches only the hunks are known: the lines between them
stay empty. It stands for no C file. Needs the extra ``source``.
"""

from __future__ import annotations

import email
import email.policy
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unidiff import PatchSet
from unidiff.errors import UnidiffParseError

_TAG = re.compile(r"\[([^\]]*\bPATCH\b[^\]]*)\]")
_VERSION = re.compile(r"\b[vV](\d+)\b")
_NUMBER = re.compile(r"\b(\d+)/\d+\b")
_FROM = re.compile(rb"^From [^\n]*\d{4}\r?\n", re.MULTILINE)
LARGEST = 64 << 20


class SourceError(Exception):
    """The input cannot be read as the series; the message is one sentence."""


@dataclass
class Text:
    """One file as the patches leave it.

    :ivar lines: its lines, None where a line is not in the patches
    """

    lines: list[str | None] = field(default_factory=list)

    @property
    def unknown(self) -> frozenset[int]:
        """Numbers of the lines that are not in the patches, from 1."""
        return frozenset(number for number, line in enumerate(self.lines, 1) if line is None)

    def data(self) -> bytes:
        """The file; unknown lines are empty."""
        return "".join(f"{line or ''}\n" for line in self.lines).encode()


@dataclass(frozen=True)
class Mail:
    """One patch.

    :ivar version: of the series, 1 when it does not say
    :ivar number: in the series
    """

    where: str
    subject: str
    version: int
    number: int
    body: str


def _mail(where: str, data: bytes, number: int) -> Mail | None:
    message = email.message_from_bytes(data, policy=email.policy.default)
    subject = " ".join(str(message.get("subject", "")).split())
    if re.match(r"(?i)\s*(re|fwd?|aw)\s*:", subject):
        return None
    bodies = []
    for part in message.walk():
        if part.get_content_maintype() == "text":
            raw = part.get_payload(decode=True)
            if isinstance(raw, bytes):
                bodies.append(_decode(raw))
    body = "\n".join(bodies)
    tag = _TAG.search(subject)
    version, place = (_VERSION.search(tag[1]), _NUMBER.search(tag[1])) if tag else (None, None)
    return Mail(where, subject, int(version[1]) if version else 1, int(place[1]) if place else number,
                body.replace("\r\n", "\n"))


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _mails(path: Path) -> Iterator[Mail]:
    names = [path]
    if path.is_dir():
        names = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    for name in names:
        try:
            if name.stat().st_size > LARGEST:
                raise SourceError(f"{name} is larger than {LARGEST >> 20} MiB, which no patch series is")
            data = name.read_bytes()
            if data.startswith(b"\x1f\x8b"):
                data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LARGEST + 1)
                if len(data) > LARGEST:
                    raise SourceError(f"{name} is larger than {LARGEST >> 20} MiB when it is unpacked, which no patch series is")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{name} is damaged: its gzip data cannot be unpacked ({error}); fetch it again") from None
        except OSError as error:
            raise SourceError(f"{name} cannot be read: {error.strerror or error}") from None
        starts = [match.start() for match in _FROM.finditer(data)] if data.startswith(b"From ") else []
        pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=False)] or [data]
        for number, piece in enumerate(pieces, 1):
            if piece.startswith(b"From "):
                piece = piece.partition(b"\n")[2]
            if b"\0" in piece[:4096]:
                continue
            head = piece.lstrip()[:200]
            if not re.match(rb"[A-Za-z-]+:", head):  # a bare diff
                yield Mail(str(name), name.name, 1, number, _decode(piece))
                continue
            mail = _mail(str(name), piece, number)
            if mail is not None:
                yield mail


def _diff(body: str) -> str:
    """The diff of a mail, without what stands before it and the signature after it."""
    start = re.search(r"^(?:diff --git |--- (?:a/|/dev/null))", body, re.MULTILINE)
    if start is None:
        return ""
    return re.split(r"^-- ?$", body[start.start():], maxsplit=1, flags=re.MULTILINE)[0]


def _apply(files: dict[str, Text], mail: Mail) -> None:
    diff = _diff(mail.body)
    try:
        patch = PatchSet(diff.splitlines(keepends=True))
    except UnidiffParseError as error:
        raise SourceError(f"{mail.where}: the diff of {mail.subject!r} is damaged: {error}") from None
    for changed in patch:
        path = changed.path
        if changed.is_removed_file:
            files.pop(path, None)
            continue
        text = files.get(path)
        if changed.is_rename and text is None:
            text = files.pop(changed.source_file.removeprefix("a/"), None)
        text = files[path] = text if text is not None else Text()
        for hunk in changed:
            target = [line.value.rstrip("\n") for line in hunk.target_lines()]
            known = [line.value.rstrip("\n") for line in hunk.source_lines()]
            at = hunk.target_start - 1 if hunk.target_length else hunk.target_start
            at = max(at, 0)
            if len(text.lines) < at + len(known):
                text.lines += [None] * (at + len(known) - len(text.lines))
            for line, wanted in zip(text.lines[at:at + len(known)], known, strict=True):
                if line is not None and line != wanted:
                    raise SourceError(f"{mail.where}: {mail.subject!r} does not fit on the patches before it in {path} at "
                                      f"line {at + 1}; is one missing, or of another version of the series?")
            text.lines[at:at + len(known)] = target


def read(path: Path) -> tuple[dict[str, Text], str]:
    """The files that the patches leave behind, by path, and how the series calls itself.

    Of several versions in one mbox the last counts.

    :raises SourceError: not readable, no patch, damaged, or patches that do not fit on each other
    """
    if not path.exists():
        raise SourceError(f"{path}: there is no such file or directory")
    mails = [mail for mail in _mails(path) if _diff(mail.body)]
    if not mails:
        raise SourceError(f"{path} holds no patch: name an mbox, a patch, or a directory of patches")
    version = max(mail.version for mail in mails)
    mails = [mail for mail in mails if mail.version == version]
    tagged = all(_TAG.search(mail.subject) for mail in mails)
    latest = {mail.number: mail for mail in mails} if tagged else dict(enumerate(mails))
    files: dict[str, Text] = {}
    for _, mail in sorted(latest.items()):
        _apply(files, mail)
    called = f"V{version}" if version > 1 else "a series without a version"
    return files, f"{called}, {len(latest)} patch{'es' if len(latest) != 1 else ''}"
