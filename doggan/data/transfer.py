"""Fetching one file over HTTP: resumed where it was cut, accepted only when it is whole and unchanged."""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, NoReturn
from urllib.parse import urlsplit

from tqdm import tqdm

from doggan.errors import DogganError

TIMEOUT = 30.0
"""Seconds that connecting, or waiting for the next bytes, may take."""
ATTEMPTS = 5
"""Attempts in a row that may fail without a single new byte."""
BACKOFF = 1.0
"""Seconds before the second attempt; doubled before each further one."""

_BLOCK = 1 << 18
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_HEADERS = {"User-Agent": "doggan", "Accept-Encoding": "identity"}


class _Dropped(Exception):
    """The attempt failed in a way that another attempt may mend."""


def require_http(url: str) -> None:
    """Raise `DogganError` unless `url` is a well-formed `http` or `https` address."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DogganError(f"{url} is not an address ({error}); give one like http://host/folder.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DogganError(f"{url} is not an http or https address; give one like http://host/folder.")
    if not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise DogganError(f"{url!r} holds characters that no address may; write them percent-encoded.")


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https only; the standard handler would follow one to ftp."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        require_http(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https and nothing else (`build_opener` adds file, ftp and data)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _HttpRedirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, path: Path, *, size: int, sha256: str | None, progress: bool = True) -> str:
    """Fetch `url` to `path`, and return the SHA-256 of what was fetched.

    The bytes go to `path` + ".part", which survives a dropped connection, Ctrl-C and the death of the
    process; the next call goes on from there by a `Range` request (RFC 9110, section 14). `If-Range` carries
    the ETag or date of the first answer, so that a file which has changed in between is sent whole instead of
    being glued to the old half; a server that sends neither, or knows no ranges, is asked for the whole file
    again. The part becomes `path` only when its length and checksum are right. A `path` that is right already
    is left alone.

    Args:
        url: an http or https address.
        path: where the file goes; its folder must exist.
        size: the file's length in bytes; an answer of any other length is refused.
        sha256: the published checksum, or None where none is published (then only the length is checked).
        progress: show a progress bar.

    Raises:
        DogganError: the address is refused or cannot be reached, or the file is not the published one.
        OSError: `path` cannot be written, or the disk is full.
    """
    require_http(url)
    if path.is_file() and path.stat().st_size == size:
        digest = sha256_of(path)
        if sha256 in (None, digest):
            return digest
    part = path.with_name(path.name + ".part")
    _receive(url, part, size, progress)
    digest = sha256_of(part)
    if sha256 not in (None, digest):
        _discard(part)
        raise DogganError(
            f"{url} does not have the published checksum (sha256 {digest} instead of {sha256}), so the "
            "download was deleted; run the command again, and if it repeats, the file was changed at its "
            "source or on the way."
        )
    part.replace(path)
    _discard(part)
    return digest


def _receive(url: str, part: Path, size: int, progress: bool) -> None:
    """Attempt after attempt until `part` holds `size` bytes.

    An attempt counts as failed only if it got no further than the best before it, so a line that drops every
    few megabytes still gets there, and a server that always cuts at the same byte does not keep us forever.
    """
    opener = _opener()
    furthest, failures = _length(part), 0
    bar: tqdm[NoReturn] = tqdm(
        total=size, initial=furthest, desc=part.stem, unit="B", unit_scale=True, disable=not progress
    )
    with bar:
        while _length(part) != size:
            try:
                _attempt(opener, url, part, size, bar)
            except _Dropped as error:
                reached = _length(part)
                failures = 0 if reached > furthest else failures + 1
                furthest = max(furthest, reached)
                if failures == ATTEMPTS:
                    raise DogganError(
                        f"{url} cannot be fetched ({error}); check the network and run the same command "
                        f"again, which goes on from byte {reached:,}."
                    ) from error
                time.sleep(BACKOFF * 2 ** max(failures - 1, 0))


def _attempt(opener: urllib.request.OpenerDirector, url: str, part: Path, size: int, bar: "tqdm[NoReturn]") -> None:
    """One request; on return `part` is complete, or gone because it must be fetched from its start."""
    headers = dict(_HEADERS)
    validator = _validator_file(part)
    offset = _length(part)
    if offset and validator.is_file():
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator.read_text(encoding="latin-1")}
    else:
        offset = 0
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and offset:
            _discard(part)
            return
        if error.code in _BUSY:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from error
        raise DogganError(
            f"{url} is not there for us (the server answers {error.code} {error.reason}); check the address, "
            "or give a mirror that has the file."
        ) from error
    except urllib.error.URLError as error:
        raise _Dropped(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(str(error) or type(error).__name__) from error
    with response:
        start, total = _extent(response.status, response.headers)
        if total not in (None, size):
            raise _another_file(url, f"{total:,}", size)
        if start not in (0, offset):
            _discard(part)
            raise _Dropped("the server sent another range than was asked for")
        _store(response, part, start, size, bar)
    if _length(part) < size:
        raise _Dropped(f"the connection closed after {_length(part):,} of {size:,} bytes")


def _extent(status: int, headers: Message) -> tuple[int, int | None]:
    """Where in the file the answer's first byte lies, and how long the whole file is (None: not said)."""
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _store(response: http.client.HTTPResponse, part: Path, start: int, size: int, bar: "tqdm[NoReturn]") -> None:
    """Write the answer's body into `part` from byte `start` on; `part` never grows past `size`."""
    with part.open("ab" if start else "wb") as file:
        if start == 0:
            _remember_validator(part, response.headers)
        bar.n = start
        bar.refresh()
        left = size - start
        while True:
            try:
                block = response.read1(min(_BLOCK, left + 1))
            except (OSError, http.client.HTTPException) as error:
                raise _Dropped(str(error) or type(error).__name__) from error
            if not block:
                break
            if len(block) > left:
                raise _another_file(response.url, f"more than {size:,}", size)
            file.write(block)
            left -= len(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())


def _another_file(url: str, length: str, size: int) -> DogganError:
    return DogganError(
        f"{url} is {length} bytes long, not the {size:,} that were published, so it is another file; check "
        "the address and whether a proxy or a log-in page answers in its place."
    )


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _remember_validator(part: Path, headers: Message) -> None:
    """Keep what `If-Range` needs: a strong ETag, else the date (RFC 9110, 13.1.5 forbids weak ETags)."""
    etag = headers.get("ETag")
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if validator:
        _validator_file(part).write_text(" ".join(validator.split()), encoding="latin-1")
    else:
        _validator_file(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)
