"""The page of `doggan play`: controls that decide a picture, and the picture with what is known of it."""

import secrets
from collections.abc import Callable
from typing import Any

from doggan.play.drawing import dog_stage, heading, morph_ends, morph_stage
from doggan.play.server import load_gradio
from doggan.play.studio import Dog, Studio

_SEEDS = 1_000_000  # that a new picture is chosen from
_REACH = 4.0  # of a direction's slider, to both sides
_NO_TRUNCATION = 4.0  # of its slider; normal values beyond it are one in 16,000
_ANY = -1  # in place of a class

# A move of a slider is answered at once, and of moves during an answer the last one alone.
_LIVE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden"}


def build_page(studio: Studio) -> Any:
    """The page of a studio, a `gradio.Blocks`; see `doggan.play.server.serve`.

    Raises:
        DogganError: Gradio is not installed.
    """
    gr = load_gradio()
    first, second = Dog(), Dog(seed=1)
    with gr.Blocks(title=f"doggan play: {studio.run.folder.resolve().name}", analytics_enabled=False) as page:
        gr.HTML(heading(studio), elem_id="heading")
        with gr.Row(equal_height=False, elem_id="room"):
            with gr.Column(scale=5, min_width=320, elem_id="left"):
                stage = gr.HTML(dog_stage(studio, first), elem_id="stage")
            with gr.Column(scale=3, min_width=300, elem_id="right"), gr.Tabs():
                with gr.Tab(f"One {studio.noun}") as dog_tab:
                    dog = _dog_controls(gr, studio, stage)
                    with gr.Row():
                        keep_a = gr.Button("Keep as A", size="md", min_width=100)
                        keep_b = gr.Button("Keep as B", size="md", min_width=100)
                with gr.Tab("Morph") as morph_tab:
                    a, b = gr.State(first), gr.State(second)
                    ends = gr.HTML(morph_ends(studio, first, second), elem_id="ends")
                    with gr.Row():
                        another_a = gr.Button("Another A", size="md", min_width=100)
                        another_b = gr.Button("Another B", size="md", min_width=100)
                    between = gr.Slider(0, 1, 0.5, step=0.01, label="From A to B", buttons=[])
                    told = " The class changes halfway." if studio.run.classes is not None else ""
                    hint = f"Bring a {studio.noun} here from the other tab, by “Keep as A” or “Keep as B”."
                    gr.HTML(f"Along the great circle between both z.{told} {hint}", elem_id="hint")

        def show(*values: Any) -> str:
            return dog_stage(studio, _dog(*values))

        def shown_morph(a: Dog, b: Dog, t: float) -> str:
            return morph_stage(studio, a, b, t)

        def keep(end: int) -> Callable[..., tuple[Dog, Dog, str]]:
            def keep_it(a: Dog, b: Dog, *values: Any) -> tuple[Dog, Dog, str]:
                kept = (_dog(*values), b) if end == 0 else (a, _dog(*values))
                gr.Info(f"Kept as {'AB'[end]}.", duration=2, title="Morph")
                return *kept, morph_ends(studio, *kept)

            return keep_it

        def another(end: int) -> Callable[..., tuple[Dog, Dog, str, str]]:
            def another_one(a: Dog, b: Dog, t: float) -> tuple[Dog, Dog, str, str]:
                new = Dog(secrets.randbelow(_SEEDS))
                both = (new, b) if end == 0 else (a, new)
                return *both, morph_ends(studio, *both), morph_stage(studio, *both, t)

            return another_one

        # By the queue, without which Gradio shows no notes.
        keep_a.click(keep(0), [a, b, *dog], [a, b, ends], show_progress="hidden")
        keep_b.click(keep(1), [a, b, *dog], [a, b, ends], show_progress="hidden")
        another_a.click(another(0), [a, b, between], [a, b, ends, stage], **_ONCE)
        another_b.click(another(1), [a, b, between], [a, b, ends, stage], **_ONCE)
        between.input(shown_morph, [a, b, between], stage, **_LIVE)
        morph_tab.select(shown_morph, [a, b, between], stage, **_LIVE)
        dog_tab.select(show, dog, stage, **_LIVE)
    return page


def _dog_controls(gr: Any, studio: Studio, stage: Any) -> list[Any]:
    """The controls that `_dog` is made from: seed, truncation, class, and a slider for each direction."""
    with gr.Row(elem_id="seed"):
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, step=1, min_width=120)
        new = gr.Button(f"Another {studio.noun}", variant="primary", min_width=140)
    choices = [("As the seed draws it", _ANY)]
    choices += [(studio.class_name(label), label) for label in studio.run.find_classes([])]
    label = gr.Dropdown(choices, value=_ANY, label="Class", visible=studio.run.classes is not None)
    truncation = gr.Slider(
        0.1, _NO_TRUNCATION, _NO_TRUNCATION, step=0.1, label="Truncation", buttons=[],
        info="z beyond so many standard deviations is drawn again; 4 leaves it as it is.",
    )  # fmt: skip
    with gr.Group():
        moves = [
            gr.Slider(-_REACH, _REACH, 0, step=0.1, label=f"Direction {i}", buttons=[])
            for i in range(1, len(studio.directions) + 1)
        ]
    reset = gr.Button("Reset directions", size="md")
    controls = [seed, truncation, label, *moves]

    def show(*values: Any) -> Any:
        return gr.skip() if values[0] is None else dog_stage(studio, _dog(*values))

    def another(_: Any, *others: Any) -> tuple[int, str]:
        chosen = secrets.randbelow(_SEEDS)
        return chosen, dog_stage(studio, _dog(chosen, *others))

    def reset_moves(*values: Any) -> tuple[Any, ...]:
        return *(0.0 for _ in moves), show(*values)

    gr.on([control.input for control in controls], show, controls, stage, **_LIVE)
    new.click(another, controls, [seed, stage], **_ONCE)
    reset.click(reset_moves, controls[:3], [*moves, stage], **_ONCE)
    return controls


def _dog(seed: float | None, truncation: float, label: int, *moves: float) -> Dog:
    """The settings that the controls say; an empty field for the seed counts as 0."""
    return Dog(
        int(seed or 0),
        None if label == _ANY else label,
        None if truncation >= _NO_TRUNCATION else truncation,
        moves,
    )
