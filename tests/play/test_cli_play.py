"""The command: what it says, and that it ends."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from doggan import cli
from doggan.cli.play import play
from doggan.errors import DogganError
from doggan.play.server import free_port


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `doggan play` in this process: (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["play", *map(str, arguments)])
        status = 0
        try:
            cli.main(play)
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def test_without_gradio_it_says_how_to_install_it(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    status, _, err = command(tmp_path)
    assert status == cli.EXIT_MISTAKE
    assert "pip install 'doggan[play]'" in err
    assert len(err.strip().splitlines()) == 1


def test_it_serves_until_it_is_interrupted(command, finished_run, monkeypatch):
    pytest.importorskip("gradio")
    seen = {}

    def look_and_interrupt():
        with urllib.request.urlopen("http://127.0.0.1:7941/", timeout=5) as answer:
            seen["status"], seen["page"] = answer.status, answer.read().decode()
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 7940)):
        monkeypatch.setattr(sys.modules["doggan.cli.play"], "_wait_for_interrupt", look_and_interrupt)
        status, out, _ = command(finished_run.folder, "--port", 7940, "--quiet", "--no-cache")
    assert status == 0
    assert seen["status"] == 200
    assert "googleapis" not in seen["page"]
    assert "http://127.0.0.1:7941" in out
    assert "network" not in out
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen("http://127.0.0.1:7941/", timeout=5)


def test_a_run_that_is_none_is_a_sentence(command, tmp_path):
    pytest.importorskip("gradio")
    status, _, err = command(tmp_path)
    assert status == cli.EXIT_MISTAKE
    assert "is not a run" in err


def test_the_next_free_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port("127.0.0.1", taken) > taken
    with pytest.raises(DogganError, match=r"203\.0\.113\.1.*--host"):
        free_port("203.0.113.1", 7860)


def test_other_hosts_than_this_machine():
    from doggan.cli.play import _is_loopback

    assert [_is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [_is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example")] == [False] * 4


def test_gradio_and_keras_are_not_imported_with_the_command():
    code = "import sys, doggan, doggan.cli.play; assert not {'gradio', 'keras', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
