"""Gradio, which is an extra, and serving a page of it with nothing asked of the network.

The server answers to its own machine unless told otherwise. Neither it nor the page has telemetry, fonts or scripts
from elsewhere, or a tunnel.
"""

import os
import socket
from typing import Any

from doggan.errors import DogganError
from doggan.play.look import CSS

_PORTS = 100  # tried one after the other
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")


def load_gradio() -> Any:
    """Import Gradio, its telemetry off.

    Raises:
        DogganError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by its import
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise DogganError("The page is made with Gradio, which is not installed; pip install 'doggan[play]'.") from None
    return gradio


def serve(page: Any, *, host: str = "127.0.0.1", port: int = 7860, open_browser: bool = False) -> str:
    """Start to serve a page, in threads of its own; its `close()` ends that.

    Args:
        page: a `gradio.Blocks`.
        host: the address to listen on; anybody who reaches it can use the page.
        port: the first one to try.
        open_browser: show the page in the user's browser.

    Returns:
        The page's address.

    Raises:
        DogganError: the host's ports cannot be listened on.
    """
    gr = load_gradio()
    theme = gr.themes.Default(primary_hue="blue", neutral_hue="gray", font=_SANS, font_mono=_MONO).set(
        body_text_color_subdued="*neutral_600",  # Gradio's own is too faint to read
        block_info_text_color="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color_dark="*neutral_400",
    )
    _, address, _ = page.launch(
        server_name=host,
        server_port=free_port(host, port),
        inbrowser=open_browser,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=True,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme,
        css=CSS,
    )
    return str(address)


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nobody listens on.

    Raises:
        DogganError: there is none among the next hundred, or there is no such address here.
    """
    reason = ""
    for port in range(first, min(first + _PORTS, 65536)):
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return port
        except OSError as error:
            reason = error.strerror or str(error)
    raise DogganError(f"The page cannot be served at {host}, port {first} ({reason}); give another --host or --port.")
