"""One file over HTTP, from a server that cuts, changes, refuses and lies."""

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doggan.data import transfer
from doggan.data.transfer import fetch
from doggan.errors import DogganError

BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def get(site, tmp_path: Path) -> Callable[..., Path]:
    """Fetch `file.tar`, by default with the right length and checksum, to tmp_path/file.tar."""
    site.files["file.tar"] = BODY

    def run(**wanted: Any) -> Path:
        path = tmp_path / "file.tar"
        digest = fetch(site.url("file.tar"), path, **{"size": len(BODY), "sha256": SHA, "progress": False, **wanted})
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        return path

    return run


def test_whole_file(site, get, tmp_path):
    assert get().read_bytes() == BODY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.tar"]
    assert "Range" not in site.asked[0]
    assert site.asked[0]["Accept-Encoding"] == "identity"


def test_a_right_file_is_not_fetched_again(site, get):
    get()
    get()
    assert len(site.asked) == 1


def test_a_wrong_file_of_the_right_length_is_replaced(get, tmp_path):
    (tmp_path / "file.tar").write_bytes(bytes(len(BODY)))
    assert get().read_bytes() == BODY


def test_a_cut_connection_is_resumed_from_the_next_byte(site, get):
    site.cuts = [100_000, 50_000]
    assert get().read_bytes() == BODY
    assert [asked.get("Range") for asked in site.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert site.asked[1]["If-Range"] == '"one"'


def test_a_line_that_drops_more_often_than_the_attempts_allow_still_arrives(site, get):
    site.cuts = [len(BODY) // 20] * 19
    assert get().read_bytes() == BODY
    assert len(site.asked) > 2 * transfer.ATTEMPTS


def test_a_later_call_resumes_what_an_interrupted_one_left(site, get, tmp_path, monkeypatch):
    """Ctrl-C between two blocks keeps what has arrived."""
    blocks = iter([None, KeyboardInterrupt()])
    original = transfer.tqdm.update

    def update(bar, n=1):
        if isinstance(stop := next(blocks, None), KeyboardInterrupt):
            raise stop
        return original(bar, n)

    monkeypatch.setattr(transfer, "_BLOCK", 40_000)
    with monkeypatch.context() as patch:
        patch.setattr(transfer.tqdm, "update", update)
        with pytest.raises(KeyboardInterrupt):
            get()
    had = (tmp_path / "file.tar.part").stat().st_size
    assert 0 < had < len(BODY)
    assert get().read_bytes() == BODY
    assert site.asked[1]["Range"] == f"bytes={had}-"


def test_a_server_without_ranges_sends_the_whole_file_again(site, get):
    site.ranges, site.cuts = False, [100_000]
    assert get().read_bytes() == BODY
    assert len(site.asked) == 2


def test_a_server_without_validators_is_asked_for_the_whole_file_again(site, get):
    site.validators, site.cuts = {}, [100_000]
    assert get().read_bytes() == BODY
    assert "Range" not in site.asked[1]


def test_a_weak_etag_is_not_used_for_resuming_but_the_date_is(site, get):
    site.validators = {"ETag": 'W/"one"', "Last-Modified": "Mon, 05 Dec 2011 10:00:00 GMT"}
    site.cuts = [100_000]
    assert get().read_bytes() == BODY
    assert site.asked[1]["If-Range"] == "Mon, 05 Dec 2011 10:00:00 GMT"


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(site, get, tmp_path):
    site.files["file.tar"] = bytes(len(BODY))
    site.cuts, site.statuses = [100_000], [0, 404]
    with pytest.raises(DogganError, match="404"):
        get()
    assert (tmp_path / "file.tar.part").stat().st_size == 100_000
    site.files["file.tar"], site.validators = BODY, {"ETag": '"two"'}
    assert get().read_bytes() == BODY
    assert site.asked[-1]["If-Range"] == '"one"'


def test_a_range_that_cannot_be_satisfied_starts_again(site, get, tmp_path):
    site.statuses = [416]
    (tmp_path / "file.tar.part").write_bytes(b"x" * 1000)
    (tmp_path / "file.tar.part.validator").write_text('"one"')
    assert get().read_bytes() == BODY
    assert [asked.get("Range") for asked in site.asked] == ["bytes=1000-", None]


def test_an_answer_from_another_place_in_the_file_is_not_glued_on(site, get):
    site.cuts, site.content_range = [100_000], f"bytes 5-{len(BODY) - 1}/{len(BODY)}"
    assert get().read_bytes() == BODY
    assert len(site.asked) == 3


def test_a_part_that_is_too_long_starts_again(site, get, tmp_path):
    (tmp_path / "file.tar.part").write_bytes(bytes(len(BODY) + 1))
    assert get().read_bytes() == BODY
    assert "Range" not in site.asked[0]


def test_a_complete_part_needs_no_server(get, tmp_path, site):
    (tmp_path / "file.tar.part").write_bytes(BODY)
    assert get().read_bytes() == BODY
    assert site.asked == []


def test_a_busy_server_is_asked_again(site, get):
    site.statuses = [503, 500, 429]
    assert get().read_bytes() == BODY


def test_a_server_that_always_cuts_at_the_same_byte_is_given_up(site, get, tmp_path):
    site.ranges, site.cuts = False, [1000] * 100
    with pytest.raises(DogganError, match=r"closed after 1,000 of 307,200 bytes\); check the network"):
        get()
    assert len(site.asked) == transfer.ATTEMPTS + 1
    assert (tmp_path / "file.tar.part").stat().st_size == 1000


def test_wrong_content_is_deleted_and_named(site, get, tmp_path):
    site.files["file.tar"] = bytes(len(BODY))
    with pytest.raises(DogganError, match=r"published checksum.*was deleted") as caught:
        get()
    assert site.url("file.tar") in str(caught.value)
    assert SHA in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("body", [BODY + b"!", BODY[:-1]])
def test_another_length_is_refused(site, get, tmp_path, body, said):
    """Where the server says the length, before a byte is kept; where not, as soon as it shows."""
    site.files["file.tar"], site.length = body, said
    with pytest.raises(DogganError, match="another file" if said or len(body) > len(BODY) else "closed after"):
        get(sha256=None)
    assert not (tmp_path / "file.tar").exists()


def test_without_a_published_checksum_the_length_decides(site, get):
    site.files["file.tar"] = bytes(len(BODY))
    assert get(sha256=None).read_bytes() == bytes(len(BODY))


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_missing_file_is_one_sentence_and_no_second_attempt(site, get, status):
    site.statuses = [status]
    with pytest.raises(DogganError, match=f"file.tar is not there for us .the server answers {status}"):
        get()
    assert len(site.asked) == 1


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.tar"
        with pytest.raises(DogganError, match=r"cannot be fetched \(.*refused.*\); check the network"):
            fetch(url, tmp_path / "file.tar", size=1, sha256=None, progress=False)


def test_a_silent_server_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    monkeypatch.setattr(transfer, "TIMEOUT", 0.05)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.tar"
        with pytest.raises(DogganError, match=r"cannot be fetched \(.*timed out"):
            fetch(url, tmp_path / "file.tar", size=1, sha256=None, progress=False)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/file.tar",
        "data:,x",
        "file.tar",
        "http:///x",
        "http://[bad/x",
        "http://h/a b",
    ],
)
def test_only_http_addresses(tmp_path, url):
    with pytest.raises(DogganError, match="address"):
        fetch(url, tmp_path / "file.tar", size=1, sha256=None)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/file.tar", "file:///etc/passwd"])
def test_redirections_leave_http_never(site, get, target):
    site.redirects["file.tar"] = target
    with pytest.raises(DogganError, match=r"not an http|302"):
        get()


def test_a_redirection_to_http_is_followed(site, tmp_path):
    site.files |= {"old.tar": b"", "file.tar": BODY}
    site.redirects = {"old.tar": site.url("file.tar")}
    fetch(site.url("old.tar"), tmp_path / "file.tar", size=len(BODY), sha256=SHA, progress=False)
    assert [asked["path"] for asked in site.asked] == ["/old.tar", "/file.tar"]


def test_progress_is_shown_only_when_asked_for(get, tmp_path, capsys):
    get()
    assert capsys.readouterr() == ("", "")
    (tmp_path / "file.tar").unlink()
    get(progress=True)
    assert "file.tar: 100%" in capsys.readouterr().err
